// Package server answers with reports over HTTP.
//
//	GET /v1/reports         which reports there are, their parameters and formats
//	GET /v1/reports/{name}  a report
//
// Keys need the scope reports. A key sees its own organiser's figures; one with the
// scope admin sees all, or those of the organiser that it asks for.
//
// A report costs the database work: only a few are made at once, each has a limit of
// time and of rows, and one whose caller has gone is cancelled in the database too.
// Its id is its ETag, so that a caller who asks again while nothing was loaded gets
// 304 for the price of one small question.
package server
