// Package clickhouse runs the real ClickHouse engine inside this process and serves it on ClickHouse's HTTP interface.
//
// The engine is libchdb, a shared library of about 570 MB that is loaded at run time with purego: no C compiler is needed and the binary
// runs with and without cgo. [Locate] says where the library is, [Fetch] brings it, [Open] starts the engine on a data directory and
// [Server.Serve] answers HTTP requests, so that clickhouse-go, curl and Grafana talk to it as to any ClickHouse server.
//
// The engine's C interface is narrower than a server; what this package adds, file by file:
//
//   - library.go: the C functions. session.go: one connection, with everything that may be done on it.
//   - engine.go: the data directory, its lock, the settings that bound memory, and the admission of requests.
//   - disk.go: what is done about refused writes, which the embedded engine does not report.
//   - http.go: one request from its URL and body to its answer. query.go and insert.go: the two kinds of work.
//   - statement.go: what a statement is (a read, an insert with data, a definition), found without parsing SQL fully.
//   - recode.go: the engine writes the Native format for revision 0, clients want the one that they announced.
//   - compression.go, settings.go, errors.go, external.go: the details of the HTTP interface.
//
// Every request gets a connection of its own, made for it and closed after it (0.3 ms). This is what keeps settings, the current
// database and temporary tables from leaking into other requests; and it has to be so after an error, because the engine keeps the output
// of a failed query and hands it to the next one on the same connection.
//
// The server has no users and ignores passwords: whoever reaches its port may read and write all tables, and read the files that this
// process may read. It is meant for the loopback interface; requests that a browser sends for a page of another origin are refused.
package clickhouse
