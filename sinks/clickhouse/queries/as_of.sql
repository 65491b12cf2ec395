-- The moment that figures are as of: the time of the newest record that is in
-- the audit trail.
SELECT max(time) AS as_of FROM events
