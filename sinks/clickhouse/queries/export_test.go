package queries

// Update says that golden files are to be rewritten.
func Update() bool { return *update }
