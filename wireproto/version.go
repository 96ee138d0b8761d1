package wireproto

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// ProtocolVersion is the version of the Wire protocol that this package implements (kimi_cli/wire/protocol.py).
const ProtocolVersion = "1.10"

// Version is the version of the Wire protocol or of a program. Its parts are numbers: 1.10 comes after 1.2. The zero
// value is an unknown version. It comes before all others.
type Version struct {
	Major, Minor, Patch int
}

// ParseVersion reads one to three numbers with dots between them, such as "1.10" or "1.51.0". A missing number is 0.
// Text after a "-" or a "+" is ignored.
func ParseVersion(s string) (Version, error) {
	core := s
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		core = s[:i]
	}
	var n [3]int
	for i, part := range strings.Split(core, ".") {
		v, err := strconv.Atoi(part)
		if err != nil || i > 2 {
			return Version{}, fmt.Errorf("wireproto: not a version such as 1.10: %s", preview(s))
		}
		n[i] = v
	}
	return Version{n[0], n[1], n[2]}, nil
}

// Compare returns -1, 0 or +1 if v comes before, equals or comes after o.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Patch, o.Patch))
}

// String returns major.minor. If the patch number is not 0, it follows.
func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}
