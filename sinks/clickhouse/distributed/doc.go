// Package distributed turns the migrations of the analytics schema, which are
// written for one ClickHouse server, into those for a cluster of replicated
// shards. There is one source of the schema; a statement that the rewriting does
// not know is an error, never passed on as it is.
//
// # What becomes of a statement
//
//	CREATE TABLE t            CREATE TABLE t_local ON CLUSTER, with the replicated engine,
//	                          and CREATE TABLE t, a Distributed table over it
//	ALTER TABLE t             of t_local; of t as well when it concerns columns or the comment
//	DROP TABLE t              of t, then of t_local
//	CREATE VIEW v             ON CLUSTER; it reads the Distributed tables
//	CREATE MATERIALIZED VIEW  ON CLUSTER, from t_local to t_local: a shard's rows stay on it
//	INSERT INTO t SELECT      unchanged: it goes through the Distributed tables
//
// # Why reads are exact
//
// A row's shard is chosen by the hash of the table's sorting key. All versions of
// one key hence lie on one shard, whoever inserts them, and FINAL, which every
// shard applies to its own rows, leaves one of them in the whole cluster (I8). A
// change of the number of shards moves keys to other shards: then the tables must be
// loaded anew.
//
// # Files
//
//	lexer.go      SQL text to tokens
//	statement.go  tokens to the clauses of a statement
//	rewrite.go    the rules above
//	files.go      the migrations as a file system for goose
package distributed
