// Package ingest is the front door of boxoffice: it takes commands over REST and
// over gRPC, gRPC-Web and Connect on one port, resolves what a decision needs
// (the event's prices, tax, currency and versions), seals personal data, and
// answers 202 when Kafka has acknowledged the command on all in-sync replicas.
//
// The way of a registration:
//
//	door (rest.go, batch.go, rpc.go)  who calls, how large, JSON or Protobuf
//	  -> registration.go              check every field
//	  -> catalogue.go                 find the event, wait for one just created
//	  -> accept.go                    id, digest, sale window, seal, command
//	  -> pricing.go                   prices, tax and total per line
//	  -> produce.go                   write one record, wait for the acknowledgement
//
// The command's record is the only thing that is written, so a request is either
// accepted or has left nothing behind. A request that is repeated with its
// idempotency key has the same ids and counts once.
package ingest
