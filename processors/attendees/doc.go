// Package attendees is the processor that keeps an attendee's registrations, the
// limit of tickets per event, and the sealed personal data.
//
// Key: attendee id. Input: attendee-updates. Output: attendee-events (keyed by
// registration id, the answer to a registration that waits for its allowance).
// Table: Attendee, the only place where personal data is, and sealed there.
//
// Invariants enforced here:
//   - The tickets that count for one event (asked, not refused, not given back)
//     never exceed the limit that the registrations carry.
//   - I5: every update is idempotent by its registration id: a repeated question
//     gets the same answer, and a give-back that comes before its question leaves
//     a mark, so that the late question is not granted.
//
// The list is bounded: beyond 10,000 entries the oldest that no longer count make
// room.
package attendees
