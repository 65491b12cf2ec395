package wire

import "google.golang.org/protobuf/encoding/protowire"

// Deadline reads from an encoded table value when its key wants to be woken, in
// Unix milliseconds; open is false when it waits for nothing. By the contracts'
// convention it is field 1, so that the rest need not be read.
func Deadline(value []byte) (unixMillis int64, open bool) {
	for len(value) > 0 {
		number, kind, n := protowire.ConsumeTag(value)
		if n < 0 {
			return 0, false
		}
		value = value[n:]
		if number == 1 && kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(value)
			return int64(v), n > 0 && int64(v) > 0
		}
		if n = protowire.ConsumeFieldValue(number, kind, value); n < 0 {
			return 0, false
		}
		value = value[n:]
	}
	return 0, false
}
