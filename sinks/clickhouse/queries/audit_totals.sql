-- The audit trail by partition, of records since a moment: how many, between which
-- offsets, and the sum of their versions, for holding against the topics (I8).
SELECT topic, partition, count() AS records, min(offset) AS first, max(offset) AS last, sum(version) AS versions
FROM events FINAL
WHERE time >= {since:DateTime64(3)}
GROUP BY topic, partition
ORDER BY topic, partition
