package render

// Line is a line of a diff. Op is ' ', '-' or '+'.
type Line struct {
	Op   byte
	Text string
}

// Diff returns the lines that change from old to new, with a few equal lines around them.
func Diff(old, new string) []Line {
	var list []Line
	for _, c := range compare(split(old), split(new)) {
		list = append(list, Line{c.op, c.text})
	}
	return list
}
