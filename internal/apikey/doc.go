// Package apikey knows who calls. A key is a random secret that its caller
// keeps; the key file holds only its SHA-256 hash, the organiser it stands for
// and what it may do. The file is read again when it changes, so that a key is
// given or taken away without a restart.
//
// A key file is JSON:
//
//	{"keys": [{
//	  "name": "web shop",
//	  "sha256": "<64 hex digits>",
//	  "organiser": "eventpro",
//	  "scopes": ["registrations:write", "registrations:read"],
//	  "expires": "2027-01-01T00:00:00Z"
//	}]}
//
// expires may be left out.
package apikey
