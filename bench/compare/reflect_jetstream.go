package main

const jetstreamAlways = "jetstream-always"

func jetstreamReflects(w reflectWork) []contestant { return nil }
