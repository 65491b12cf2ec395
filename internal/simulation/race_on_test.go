//go:build race

package simulation

const schedulesDefault = 1_000
