// Package kafka runs a Kafka cluster of three broker addresses in one process,
// on franz-go's kfake, with its log on disk. README.md says what it promises
// and what it does not.
package kafka
