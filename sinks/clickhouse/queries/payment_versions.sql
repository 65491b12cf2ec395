-- Every payment with its last version and its money, for holding against the
-- topic (I8).
SELECT payment_id, version, captured_minor, refunded_minor FROM payments FINAL
