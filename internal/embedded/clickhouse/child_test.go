package clickhouse_test

// children are the programs that this test binary plays for the tests that need a process of their own.
var children = map[string]func() int{}
