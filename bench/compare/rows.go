package main

// allRows returns all kinds of work in the order of the table.
func allRows() []row {
	rows := append(reflectRows(), storeRows()...)
	return append(rows, proxyRow(), frameRow(), loginRow())
}
