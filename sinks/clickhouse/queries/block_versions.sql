-- Every seat block with its last version and its seats, for holding against the
-- topics (I8).
SELECT event_id, ticket_type, block, version, held, sold, free, withdrawn FROM seat_blocks FINAL
