// Package apachekafka holds the tests that run the groups, the loader and the tools
// over a cluster of Apache Kafka's own brokers. Everything else is tested over an
// implementation of the protocol in this process (kfake), whose faults can be
// commanded; these tests show that what holds there is not a property of kfake: that
// the real transaction coordinator, group coordinator and replication keep the
// promises that the runtime builds on.
//
// They need a JDK and Kafka's jars, which `make test-kafka` brings, and have a build
// tag of their own: `make test` needs neither.
package apachekafka
