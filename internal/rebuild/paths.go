package rebuild

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// valueMax bounds a value in a path's text.
const valueMax = 60

// paths lists the fields in which two messages of one type differ, with both
// values: "holds[1].status: 2, rebuilt 7".
func paths(prefix string, live, rebuilt protoreflect.Message) []string {
	var all []string
	fields := live.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		a, b, name := live.Get(f), rebuilt.Get(f), prefix+string(f.Name())
		switch {
		case f.IsMap():
			if !a.Equal(b) {
				all = append(all, name)
			}
		case f.IsList():
			all = append(all, listPaths(name, f, a.List(), b.List())...)
		case f.Message() != nil && live.Has(f) && rebuilt.Has(f):
			all = append(all, paths(name+".", a.Message(), b.Message())...)
		case live.Has(f) != rebuilt.Has(f) || !a.Equal(b):
			all = append(all, name+": "+text(f, a)+", rebuilt "+text(f, b))
		}
	}
	return all
}

func listPaths(name string, f protoreflect.FieldDescriptor, live, rebuilt protoreflect.List) []string {
	if live.Len() != rebuilt.Len() {
		return []string{fmt.Sprintf("%s: %d of them, rebuilt %d", name, live.Len(), rebuilt.Len())}
	}
	var all []string
	for i := range live.Len() {
		a, b, at := live.Get(i), rebuilt.Get(i), fmt.Sprintf("%s[%d]", name, i)
		switch {
		case f.Message() != nil:
			all = append(all, paths(at+".", a.Message(), b.Message())...)
		case !a.Equal(b):
			all = append(all, at+": "+text(f, a)+", rebuilt "+text(f, b))
		}
	}
	return all
}

func text(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.BytesKind:
		return fmt.Sprintf("%.*x", valueMax, v.Bytes())
	case protoreflect.EnumKind:
		if value := f.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name())
		}
	case protoreflect.MessageKind:
		if !v.Message().IsValid() {
			return "none"
		}
	}
	return fmt.Sprintf("%.*s", valueMax, v.String())
}
