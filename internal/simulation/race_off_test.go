//go:build !race

package simulation

const schedulesDefault = 3_000
