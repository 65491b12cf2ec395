// Package schedule makes reports at set times, and puts them into folders and
// mails.
//
// # What is promised
//
// A run is one schedule at one time that its cron expression names. A run is done
// when every place it goes to has it; which places have it is in the state file,
// written as soon as one does. So a run is repeated for the places that failed, and
// for no other.
//
// A mail is marked after the server has taken it. A process that is killed between
// the two sends it again: a report that comes twice is better than one that never
// comes. The second has the Message-ID of the first, by which mail systems drop it.
//
// A run that was missed while nothing ran, or that failed until the next one was
// due, is made up for once: the latest one that is due is made, and says how many it
// stands for. Relative periods are relative to the time when the run was due, so a
// late run reports what it would have reported.
//
// A run waits until the database is loaded up to the end of its reports' periods:
// it has a record as new as that, or all that is in Kafka. After a while the run goes
// without, and says so.
//
// # Clocks
//
// A cron expression is about the clock on the wall. Each time on it comes once: on
// the night when clocks go back, what is due between two and three is due at the
// first of the two times; when they go forward, it is due at the moment after the
// gap.
package schedule
