package clickhouse

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// id reads an id that must be there.
func id(b []byte) (uuid.UUID, error) {
	if len(b) != len(uuid.UUID{}) {
		return uuid.UUID{}, fmt.Errorf("an id of %d bytes, want 16", len(b))
	}
	return uuid.UUID(b), nil
}

// optionalID reads an id that may be missing; the zero UUID stands for none.
func optionalID(b []byte) uuid.UUID {
	v, err := id(b)
	if err != nil {
		return uuid.UUID{}
	}
	return v
}

// enumNames are an enum's values as they appear in ClickHouse: in lower case,
// without the enum's prefix.
type enumNames []string

func namesOf(e protoreflect.EnumDescriptor) enumNames {
	prefix := ""
	if e.Values().Len() > 0 {
		prefix = strings.TrimSuffix(string(e.Values().ByNumber(0).Name()), "UNSPECIFIED")
	}
	var names enumNames
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		for int(v.Number()) >= len(names) {
			names = append(names, strconv.Itoa(len(names)))
		}
		names[v.Number()] = strings.ToLower(strings.TrimPrefix(string(v.Name()), prefix))
	}
	return names
}

// name is a value's name; a value of a later release is its number (I10).
func (n enumNames) name(v uint64) string {
	if v < uint64(len(n)) {
		return n[v]
	}
	return strconv.FormatUint(v, 10)
}
