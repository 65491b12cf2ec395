package simulation

// runtimeControls break sessions and their transactions.
func runtimeControls() []Control {
	return []Control{
		{
			Name: "no-fence", Breaks: "rule 2, trace 4", Invariants: []string{"I2", "I5", "I6", "I9"}, broken: variant{noFence: true},
			How: "A process that starts does not take a producer id of its own, and goes on in its predecessor's open transaction.",
		},
		{
			Name: "zombie-not-fenced", Breaks: "rule 2, trace 2", Invariants: []string{"I5", "I6", "I9"}, broken: variant{zombies: true},
			How: "A process that was replaced, or whose transaction timed out, still writes and commits under its old epoch.",
		},
		{
			Name: "offsets-of-any-generation", Breaks: "rule 5, trace 2", Invariants: []string{"I5", "I6"}, broken: variant{offsetsOfAnyGeneration: true},
			How: "Offsets in a transaction are accepted from a member that has lost its partitions.",
		},
		{
			Name: "offsets-while-unsettled", Breaks: "rule 5", Invariants: []string{"I5", "I6"}, broken: variant{unstableOffsets: true},
			How: "A new owner starts from the committed offsets while a transaction that would move them is still open.",
		},
		{
			Name: "refused-commit-ignored", Breaks: "rule 3, trace 4", Invariants: []string{"I5", "I6"}, broken: variant{ignoresRefusal: true},
			How: "A commit that a rebalance refused, which is no error, is taken for made: the session goes on with its dirty tables.",
		},
		{
			Name: "refused-record-ignored", Breaks: "rule 1", Invariants: []string{"I5", "I6", "I9"}, broken: variant{ignoresRefusedRecords: true},
			How: "A transaction is committed although the broker has refused one of its records.",
		},
		{
			Name: "dirty-tables-kept", Breaks: "rule 4, trace 4", Invariants: []string{"I5", "I9"}, broken: variant{keepsDirtyTables: true},
			How: "What an aborted transaction wrote stays in the local tables.",
		},
		{
			Name: "stored-before-commit", Breaks: "rule 4", Invariants: []string{"I5", "I9"}, broken: variant{storesBeforeCommit: true},
			How: "A batch is written to the local tables before its transaction has committed.",
		},
		{
			Name: "session-outlives-its-generation", Breaks: "rule 5, trace 4", Invariants: []string{"I5", "I6", "I9"}, broken: variant{keepsSession: true},
			How: "Records of the next assignment are handed to the session of the last one, whose tables are of the past.",
		},
		{
			Name: "reads-past-the-overlay", Breaks: "rule 4", Invariants: []string{"I5"}, broken: variant{readsDiskOnly: true},
			How: "The second record of a key in a batch is decided by the state before the first.",
		},
	}
}

// readingControls break what a member reads, and what it does with a record.
func readingControls() []Control {
	return []Control{
		{
			Name: "reads-uncommitted", Breaks: "rule 6", Invariants: []string{"I5", "I6"}, broken: variant{readsUncommitted: true},
			How: "Inputs are read without waiting for the end of the transaction that wrote them.",
		},
		{
			Name: "recovery-stops-at-an-open-transaction", Breaks: "rule 6, trace 2", Invariants: []string{"I5", "I9"}, broken: variant{recoveryStopsAtStable: true},
			How: "Tables count as recovered at the last stable offset, although what lies behind it may still be committed.",
		},
		{
			Name: "recovery-ends-at-records-only", Breaks: "rule 6", Invariants: []string{"I2"}, broken: variant{endsAtRecordsOnly: true},
			How: "Recovery waits for a record at the end of the log, where a marker or nothing is.",
		},
		{
			Name: "outputs-outside-the-transaction", Breaks: "rule 1, traces 1 and 3", Invariants: []string{"I5", "I9"}, broken: variant{plainOutputs: true},
			How: "Outputs are written at once, table records and offsets with the commit.",
		},
		{
			Name: "offsets-first", Breaks: "rule 1, trace 1", Invariants: []string{"I2", "I5", "I6"}, broken: variant{offsetsFirst: true},
			How: "Offsets are committed when a batch is taken, not with what it made.",
		},
		{
			Name: "starts-at-the-newest", Breaks: "rule 7", Invariants: []string{"I2", "I6"}, broken: variant{startsAtTheEnd: true},
			How: "A group without committed offsets starts at the end of the log, as Goka does by default.",
		},
		{
			Name: "another-hash", Breaks: "rule 7", Invariants: []string{"I1", "I2", "I5", "I6", "I9"}, broken: variant{wrongHash: true},
			How: "Outputs are partitioned by another hash than their reader's.",
		},
		{
			Name: "timer-fires-once", Breaks: "trace 9", Invariants: []string{"I2"}, broken: variant{firesOnce: true},
			How: "A deadline is dropped when its timer was sent once, although that timer may be lost or early.",
		},
		{
			Name: "no-deadlines-after-a-restart", Breaks: "trace 9", Invariants: []string{"I2"}, broken: variant{noIndexAfterRestart: true},
			How: "The index of deadlines is not on the disk: after a restart only sagas that change again have a timer.",
		},
		{
			Name: "undecodable-stops", Breaks: "rule 8", Invariants: []string{"I2"}, broken: variant{stopsAtUndecodable: true},
			How: "A record that cannot be decoded ends the session, again and again.",
		},
		{
			Name: "undecodable-uncounted", Breaks: "rule 8, I7", Invariants: []string{"I6", "I7"}, broken: variant{skipsUndecodable: true},
			How: "A record that cannot be decoded is passed over, without a dead letter.",
		},
		{
			Name: "failure-marked", Breaks: "rule 9", Invariants: []string{"I1", "I2", "I5", "I7"}, broken: variant{marksFailures: true},
			How: "A record whose handler failed for a passing reason counts as handled.",
		},
		{
			Name: "failure-buried-at-once", Breaks: "rule 8", Invariants: []string{"I1", "I2", "I3", "I9"}, broken: variant{buriesAtOnce: true},
			How: "A record whose handler failed for a passing reason goes to the dead letters with the first failure.",
		},
	}
}

// retryControls break how records are put off and brought back.
func retryControls() []Control {
	return []Control{
		{
			Name: "put-off-outside-the-transaction", Breaks: "rules 1 and 8", Invariants: []string{"I7"}, broken: variant{putsOffAtOnce: true},
			How: "A record whose handler failed is written to the retries at once, whether or not its transaction commits.",
		},
		{
			Name: "put-off-uncounted", Breaks: "rule 8, I7", Invariants: []string{"I6", "I7"}, broken: variant{retriesUncounted: true},
			How: "A record that was put off is not among those that its transaction has handled.",
		},
		{
			Name: "retries-committed-before-they-are-back", Breaks: "rule 10, I7", Invariants: []string{"I6", "I7"}, broken: variant{commitsBeforeBack: true},
			How: "The stage that brings records back commits one when it is due, before it is in its topic again.",
		},
		{
			Name: "put-off-and-forgotten", Breaks: "I7", Invariants: []string{"I7"}, broken: variant{putsOffNowhere: true},
			How: "A record whose handler failed is counted as put off, and is not in the retries.",
		},
	}
}

// edgeControls break the stages and the warehouse.
func edgeControls() []Control {
	return []Control{
		{
			Name: "commit-past-an-unfinished-neighbour", Breaks: "rule 10, trace 1, I6", Invariants: []string{"I6"}, broken: variant{commitsPastUnfinished: true},
			How: "A stage commits up to its highest finished record, as sarama does with marks.",
		},
		{
			Name: "sink-counts-rows", Breaks: "trace 12, I8", Invariants: []string{"I8"}, broken: variant{sumsRows: true},
			How: "A figure adds up rows as they come, so that a batch whose answer was lost counts twice.",
		},
		{
			Name: "sink-takes-the-last-comer", Breaks: "trace 12, I8", Invariants: []string{"I8"}, broken: variant{loadsLastComer: true},
			How: "A row replaces the one before it, whatever their versions.",
		},
	}
}
