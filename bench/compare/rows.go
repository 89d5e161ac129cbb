package main

// allRows returns all kinds of work in the order of the table.
func allRows() []row {
	return append(reflectRows(), proxyRow(), frameRow())
}
