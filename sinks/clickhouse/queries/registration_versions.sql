-- Every registration with its last version and what it amounts to, for holding
-- against the topic (I8).
SELECT registration_id, version, total_minor, outcome FROM registrations FINAL
