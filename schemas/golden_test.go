package schemas_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Golden bytes keep every released contract readable (I10). golden/v1 is the
// present contract with every field filled, rewritten by
//
//	go test ./schemas -update
//
// A release copies it to a folder of its own beside it (golden/v1.4.0), which
// nothing rewrites: from then on those bytes are on somebody's disk. The tests
// read every folder. A message with alternatives has a file for each of them.
var update = flag.Bool("update", false, "rewrite golden/v1 from the present contract")

const (
	packageName = "boxoffice.v1"
	goldenDir   = "golden"
	presentDir  = "golden/v1"
	binary      = ".binpb"
	text        = ".txtpb"
)

// messages lists every message of the package by its short name.
func messages(t *testing.T) map[string]protoreflect.MessageDescriptor {
	t.Helper()
	all := map[string]protoreflect.MessageDescriptor{}
	var add func(list protoreflect.MessageDescriptors)
	add = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			if m := list.Get(i); !m.IsMapEntry() {
				all[strings.TrimPrefix(string(m.FullName()), packageName+".")] = m
				add(m.Messages())
			}
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage(packageName, func(f protoreflect.FileDescriptor) bool {
		add(f.Messages())
		return true
	})
	if all["Registration"] == nil || all["Payment"] == nil || all["Block"] == nil {
		t.Fatalf("the table values are missing in %s", packageName)
	}
	return all
}

func newMessage(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return mt.New().Interface()
}

// filled returns a message with every field set, once for each alternative that
// it has, by the name of its golden file.
func filled(t *testing.T, name string, d protoreflect.MessageDescriptor) map[string]proto.Message {
	t.Helper()
	all := map[string]proto.Message{}
	oneofs := d.Oneofs()
	for i := range oneofs.Len() {
		for j := range oneofs.Get(i).Fields().Len() {
			if chosen := oneofs.Get(i).Fields().Get(j); !oneofs.Get(i).IsSynthetic() {
				m := newMessage(t, d)
				fill(m.ProtoReflect(), chosen, nil)
				all[name+"."+string(chosen.Name())] = m
			}
		}
	}
	if len(all) == 0 {
		m := newMessage(t, d)
		fill(m.ProtoReflect(), nil, nil)
		all[name] = m
	}
	return all
}

// fill sets every field of m to values that follow from its number alone. Of
// alternatives it takes the chosen one, or the first. A message inside itself
// stays empty.
func fill(m protoreflect.Message, chosen protoreflect.FieldDescriptor, within []protoreflect.FullName) {
	d := m.Descriptor()
	if slices.Contains(within, d.FullName()) {
		return
	}
	within = append(slices.Clone(within), d.FullName())
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			take := o.Fields().Get(0)
			if chosen != nil && chosen.ContainingOneof() == o {
				take = chosen
			}
			if f != take {
				continue
			}
		}
		switch {
		case f.IsMap():
			entry := m.Mutable(f).Map()
			value := entry.NewValue()
			if f.MapValue().Message() != nil {
				fill(value.Message(), nil, within)
			} else {
				value = scalar(f.MapValue(), 1)
			}
			entry.Set(scalar(f.MapKey(), 0).MapKey(), value)
		case f.IsList():
			list := m.Mutable(f).List()
			for n := range 2 {
				if f.Message() != nil {
					fill(list.AppendMutable().Message(), nil, within)
				} else {
					list.Append(scalar(f, n))
				}
			}
		case f.Message() != nil:
			fill(m.Mutable(f).Message(), nil, within)
		default:
			m.Set(f, scalar(f, 0))
		}
	}
}

// scalar is a value that differs between fields, and needs more than one byte.
func scalar(f protoreflect.FieldDescriptor, n int) protoreflect.Value {
	number := int64(f.Number())*1_000 + int64(n) + 1
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get((values.Len() - 1 + n) % values.Len()).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(-int32(number))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(number) | 1<<31)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(number + 1_767_225_600_000) // a time of 2026 as well
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(number) | 1<<63)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(number) + 0.5)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number) + 0.5)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d ü", f.Name(), n))
	case protoreflect.BytesKind:
		id := bytes.Repeat([]byte{byte(f.Number())}, 16)
		id[15] = 0x80 | byte(n)
		return protoreflect.ValueOfBytes(id)
	}
	panic(fmt.Sprintf("%s: a kind of field without a golden value: %v", f.FullName(), f.Kind()))
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t *testing.T, d protoreflect.MessageDescriptor, b []byte) proto.Message {
	t.Helper()
	m := newMessage(t, d)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatalf("%s does not decode: %v", d.FullName(), err)
	}
	return m
}

// golden calls fn with every golden file of every folder.
func golden(t *testing.T, fn func(t *testing.T, d protoreflect.MessageDescriptor, path string, b []byte)) {
	t.Helper()
	all := messages(t)
	files := 0
	err := filepath.WalkDir(goldenDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != binary {
			return err
		}
		files++
		name := strings.TrimSuffix(filepath.Base(path), binary)
		t.Run(strings.TrimSuffix(filepath.ToSlash(path), binary), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			d := all[name]
			if d == nil { // the last part is the alternative
				d = all[strings.TrimSuffix(name, filepath.Ext(name))]
			}
			if d == nil {
				t.Fatalf("%s has golden bytes, but the contract has no such message any more: old records cannot be read", name)
			}
			fn(t, d, path, b)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < len(all) {
		t.Fatalf("%d golden files for %d messages: run go test ./schemas -update", files, len(all))
	}
}

// A message was added or changed and its golden bytes were not, so that the next
// incompatible change would go unseen: every message of the package, with every
// field, has its bytes in golden/v1.
func TestGoldenIsComplete(t *testing.T) {
	present := map[string][]byte{}
	for name, d := range messages(t) {
		for file, m := range filled(t, name, d) {
			present[file+binary] = encode(t, m)
			if *update {
				write(t, file, m)
			}
		}
	}
	entries, err := os.ReadDir(presentDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		file := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())) + binary
		if _, ok := present[file]; ok {
			continue
		}
		if !*update {
			t.Errorf("%s is of no message any more: run go test ./schemas -update if that was never released", e.Name())
		} else if err := os.Remove(filepath.Join(presentDir, e.Name())); err != nil {
			t.Error(err)
		}
	}
	for file, want := range present {
		got, err := os.ReadFile(filepath.Join(presentDir, file))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the present contract's (%v): run go test ./schemas -update", file, err)
		}
	}
}

func write(t *testing.T, file string, m proto.Message) {
	t.Helper()
	if err := os.MkdirAll(presentDir, 0o755); err != nil {
		t.Fatal(err)
	}
	readable, err := prototext.MarshalOptions{Multiline: true, Indent: "  "}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	// The library varies its spaces on purpose; the files shall not change.
	readable = bytes.ReplaceAll(readable, []byte(":  "), []byte(": "))
	for ext, b := range map[string][]byte{binary: encode(t, m), text: readable} {
		if err := os.WriteFile(filepath.Join(presentDir, file+ext), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Bytes that an older version wrote: each field is still read, with its meaning,
// and written again as the same bytes.
func TestGoldenBytesAreReadAndWritten(t *testing.T) {
	golden(t, func(t *testing.T, d protoreflect.MessageDescriptor, path string, b []byte) {
		m := decode(t, d, b)
		if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
			t.Fatalf("fields that the contract does not know any more: %x", unknown)
		}
		readable, err := os.ReadFile(strings.TrimSuffix(path, binary) + text)
		if err != nil {
			t.Fatal(err)
		}
		want := newMessage(t, d)
		if err := prototext.Unmarshal(readable, want); err != nil {
			t.Fatalf("a field has changed its name or type: %v", err)
		}
		if !proto.Equal(m, want) {
			t.Fatalf("the bytes mean\n%v\nand meant\n%v", m, want)
		}
		if again := encode(t, m); !bytes.Equal(again, b) {
			t.Fatalf("written again as\n%x\nwere\n%x", again, b)
		}
	})
}

// A newer version adds fields; this version passes such a message on without
// losing them, for example from a table through a processor.
func TestUnknownFieldsSurvive(t *testing.T) {
	const future = 50_000
	var added []byte
	added = protowire.AppendTag(added, future, protowire.VarintType)
	added = protowire.AppendVarint(added, 7)
	added = protowire.AppendTag(added, future+1, protowire.BytesType)
	added = protowire.AppendString(added, "from the future")
	golden(t, func(t *testing.T, d protoreflect.MessageDescriptor, _ string, b []byte) {
		newer := append(slices.Clone(b), added...)
		m := decode(t, d, newer)
		if got := encode(t, proto.Clone(m)); !bytes.Equal(got, newer) {
			t.Fatalf("%x\ncame back as\n%x", newer, got)
		}
	})
}

// A message was written before a field existed: it decodes, the field is unset,
// and all others are there.
func TestMessagesWithoutNewFieldsDecode(t *testing.T) {
	golden(t, func(t *testing.T, d protoreflect.MessageDescriptor, _ string, b []byte) {
		full := decode(t, d, b)
		for i := range d.Fields().Len() {
			missing := d.Fields().Get(i)
			old := decode(t, d, without(t, b, missing.Number()))
			if old.ProtoReflect().Has(missing) {
				t.Errorf("%s is set although it was not sent", missing.Name())
			}
			want := proto.Clone(full)
			want.ProtoReflect().Clear(missing)
			if !proto.Equal(old, want) {
				t.Errorf("without %s the message is\n%v\nwant\n%v", missing.Name(), old, want)
			}
		}
	})
}

// without drops a field from encoded bytes.
func without(t *testing.T, b []byte, dropped protowire.Number) []byte {
	t.Helper()
	var rest []byte
	for len(b) > 0 {
		number, _, n := protowire.ConsumeField(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		if number != dropped {
			rest = append(rest, b[:n]...)
		}
		b = b[n:]
	}
	return rest
}

// An older version, whose contract lacks the newest field of every message,
// reads a message of this version and passes it on: nothing is lost.
func TestNewMessagesPassThroughOldCode(t *testing.T) {
	old := olderContract(t)
	golden(t, func(t *testing.T, d protoreflect.MessageDescriptor, _ string, b []byte) {
		m := dynamicpb.NewMessage(old[d.FullName()])
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatalf("an older version cannot read it: %v", err)
		}
		if back := decode(t, d, encode(t, m)); !proto.Equal(back, decode(t, d, b)) {
			t.Fatalf("%v\ncame back as\n%v", decode(t, d, b), back)
		}
	})
}

// olderContract is the present one without the field of the highest number of
// each message.
func olderContract(t *testing.T) map[protoreflect.FullName]protoreflect.MessageDescriptor {
	t.Helper()
	dropped := 0
	all := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	var drop func(m *descriptorpb.DescriptorProto)
	drop = func(m *descriptorpb.DescriptorProto) {
		for _, nested := range m.NestedType {
			if !nested.GetOptions().GetMapEntry() {
				drop(nested)
			}
		}
		newest := -1
		for i, f := range m.Field {
			// The last member of a oneof cannot go without it.
			if f.OneofIndex == nil && (newest < 0 || f.GetNumber() > m.Field[newest].GetNumber()) {
				newest = i
			}
		}
		if newest >= 0 {
			m.Field = slices.Delete(m.Field, newest, newest+1)
			dropped++
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage(packageName, func(f protoreflect.FileDescriptor) bool {
		file := protodesc.ToFileDescriptorProto(f)
		for _, m := range file.MessageType {
			drop(m)
		}
		older, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
		if err != nil {
			t.Fatal(err)
		}
		var add func(list protoreflect.MessageDescriptors)
		add = func(list protoreflect.MessageDescriptors) {
			for i := range list.Len() {
				all[list.Get(i).FullName()] = list.Get(i)
				add(list.Get(i).Messages())
			}
		}
		add(older.Messages())
		return true
	})
	if dropped == 0 {
		t.Fatal("the older contract lacks nothing")
	}
	return all
}

// Storage reads the deadline of a table value, and the availability index a
// block's free seats, without decoding the rest: they are field 1, and written first.
func TestFieldOneOfTableValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value proto.Message
		name  protoreflect.Name
		kind  protoreflect.Kind
	}{
		{&pb.Registration{}, "deadline_unix_ms", protoreflect.Int64Kind},
		{&pb.Payment{}, "deadline_unix_ms", protoreflect.Int64Kind},
		{&pb.Block{}, "free", protoreflect.Uint32Kind},
	} {
		m := c.value.ProtoReflect()
		f := m.Descriptor().Fields().ByNumber(1)
		if f == nil || f.Name() != c.name || f.Kind() != c.kind || f.Cardinality() == protoreflect.Repeated {
			t.Errorf("field 1 of %s is %v, want %s %s", m.Descriptor().Name(), f, c.kind, c.name)
			continue
		}
		fill(m, nil, nil)
		number, kind, n := protowire.ConsumeTag(encode(t, c.value))
		if n < 0 || number != 1 || kind != protowire.VarintType {
			t.Errorf("%s begins with field %d", m.Descriptor().Name(), number)
		}
	}
}
