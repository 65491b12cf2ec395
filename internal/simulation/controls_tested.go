package simulation

// testedControls are those that a schedule cannot reach, because nothing in the
// system makes them happen by itself, or because what they break is below the
// simulation: the real log, the real disk, the wire. A Go test breaks or faces each.
func testedControls() []Control {
	return []Control{
		{
			Name: "cancel-of-an-unknown-payment-forgotten", Breaks: "trace 8, I3", Test: "processors/payments TestCancelBeforeCharge",
			How: "A cancel that comes before its charge leaves nothing, and the late charge is made.",
		},
		{
			Name: "request-under-an-expired-key", Breaks: "I3", Test: "processors/gateway TestExpiredKeyIsNotCalled",
			How: "A request that waited for a day is called although the provider may have forgotten its key.",
		},
		{
			Name: "parked-never", Breaks: "I2", Test: "processors/payments TestParkedByAFastGateway",
			How: "Where the gateway's clock is ahead, a payment that nobody knows about is queried for ever.",
		},
		{
			Name: "refused-because-the-look-up-lags", Breaks: "trace 7", Test: "ingest TestEventJustCreated",
			How: "A registration for an event that was created a moment ago is refused.",
		},
		{
			Name: "block-cut-again", Breaks: "trace 10, I1", Test: "processors/inventory TestABlocksOwnSizeWins",
			How: "A block takes over another size from a command.",
		},
		{
			Name: "closed-block-opens-again", Breaks: "I1", Test: "processors/inventory TestCloseBeforeOpen",
			How: "An OpenBlock that comes after its CloseBlock opens the block.",
		},
		{
			Name: "give-back-before-its-question-forgotten", Breaks: "I5", Test: "processors/attendees TestAGiveBackBeforeItsQuestion",
			How: "An allowance that is given back before it is asked for is granted for ever.",
		},
		{
			Name: "revocation-does-not-wait", Breaks: "rule 5", Test: "internal/stream TestRevocationWaitsForGoka",
			How: "The group moves on while records are in Goka's hands.",
		},
		{
			Name: "failure-during-a-shutdown-marked", Breaks: "rule 9", Test: "internal/stream TestAFailureDuringShutdownIsNotMarked",
			How: "Goka's Fail returns during a shutdown, and the record is marked as done.",
		},
		{
			Name: "two-processes-of-one-member-id", Breaks: "rule 2", Test: "internal/stream TestAMemberIdHasOneOwner",
			How: "Two processes fence each other for ever.",
		},
		{
			Name: "foreign-log-trusted", Breaks: "I9", Test: "internal/stream TestAForeignLogDropsTheLocalTable",
			How: "Local tables of a topic that was made anew are taken for recovered.",
		},
		{
			Name: "local-batch-in-pieces", Breaks: "rule 4", Test: "internal/stream/storage TestCommitIsAtomicOverPartitions",
			How: "Values, offset and deadlines of a batch reach the disk one after the other.",
		},
		{
			Name: "index-without-its-values", Breaks: "trace 9", Test: "internal/stream/storage TestDeadlineIndexFollowsTheValues",
			How: "The index of deadlines keeps entries of values that have moved on.",
		},
		{
			Name: "auto-created-topics", Breaks: "rule 7", Test: "internal/stream TestEnsureFailsOnAMismatch",
			How: "A topic with other settings than the catalogue's is used as it is.",
		},
		{
			Name: "hash-of-our-own", Breaks: "rule 7", Test: "internal/stream TestHashEqualsJavas",
			How: "Keys are spread differently than by other Kafka clients.",
		},
		{
			Name: "stale-served-as-fresh", Breaks: "reads", Test: "views TestRecovering",
			How: "A view answers while it still recovers.",
		},
		{
			Name: "old-message-unreadable", Breaks: "I10", Test: "schemas TestGoldenBytesAreReadAndWritten",
			How: "A field changes its number or kind.",
		},
	}
}
