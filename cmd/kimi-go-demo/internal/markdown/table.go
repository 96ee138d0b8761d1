package markdown

import (
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

func asTable(n ast.Node) (*east.Table, bool) {
	t, ok := n.(*east.Table)
	return t, ok
}

// minColumn is the smallest width of a column, with its borders. If the columns would be narrower, each row is shown as
// a list.
const minColumn = 8

func (r *renderer) table(n *east.Table, columns int) []string {
	var head []string
	var rows [][]string
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		style := ""
		if _, ok := row.(*east.TableHeader); ok {
			style = bold
		}
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, r.inline(cell, style))
		}
		if style != "" {
			head = cells
		} else {
			rows = append(rows, cells)
		}
	}
	if len(head)*minColumn > columns {
		return listRows(head, rows, columns)
	}
	aligned := map[east.Alignment]lipgloss.Position{east.AlignRight: lipgloss.Right, east.AlignCenter: lipgloss.Center}
	t := table.New().Headers(head...).Rows(rows...).Border(lipgloss.RoundedBorder()).
		StyleFunc(func(_, column int) lipgloss.Style {
			style := lipgloss.NewStyle().Padding(0, 1)
			if column < len(n.Alignments) {
				style = style.Align(aligned[n.Alignments[column]])
			}
			return style
		})
	if out := t.Render(); lipgloss.Width(out) <= columns {
		return strings.Split(out, "\n")
	}
	return strings.Split(t.Width(columns).Wrap(true).Render(), "\n")
}

// listRows shows each row as a list of its cells.
func listRows(head []string, rows [][]string, columns int) []string {
	var list []string
	for i, row := range rows {
		if i > 0 {
			list = append(list, "")
		}
		for j, cell := range row {
			if j < len(head) {
				cell = head[j] + ": " + cell
			}
			list = append(list, wrap(cell, columns)...)
		}
	}
	return list
}
