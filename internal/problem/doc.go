// Package problem is the one shape in which the doors of boxoffice answer what
// went wrong: an RFC 9457 document with a stable code, a sentence that says
// what happened and what to do, and, where the request itself is at fault,
// every field that is. The same problem travels over gRPC and Connect as an
// error with a ProblemDetail.
//
// The catalogue in codes.go holds every code. docs/ERRORS.md is generated from
// it (WritePage), so that a code without a description does not exist.
package problem
