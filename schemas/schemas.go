// Package schemas holds the contracts: Protobuf sources under boxoffice/v1,
// the Go code generated from them, and the golden bytes that keep every
// released version readable (I10).
package schemas

//go:generate go tool -modfile=../tools/go.mod buf generate
