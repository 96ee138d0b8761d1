package render

// Line is a line of a change: Op is ' ', '-' or '+'.
type Line struct {
	Op   byte
	Text string
}

// Diff returns the lines that lead from old to new, with a few equal ones around them.
func Diff(old, new string) []Line {
	var list []Line
	for _, c := range compare(split(old), split(new)) {
		list = append(list, Line{c.op, c.text})
	}
	return list
}
