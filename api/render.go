package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// What Render may take. A template may be a stranger's, and text/template
// itself bounds neither its loops nor what it makes.
const (
	maxTemplate = 1 << 20  // bytes of source
	maxRendered = 64 << 20 // bytes of output
	wordsAStep  = 8        // an action that has more counts once more for each so many
	// Templates within templates, and loops within loops. An error goes up through
	// all loops that it is in, one after the other, at a cost that grows as the square
	// of their number: minutes at fifty thousand.
	maxRenderDepth   = 100
	maxRenderLoops   = 32
	renderStepsACall = 256 // steps between two looks at the context
)

// Only tests change these.
var (
	maxRenderMade  = 256 << 20 // bytes of texts that functions make on the way
	maxRenderSteps = 2_000_000 // actions, each time that one is executed: some seconds
)

// Render executes a text/template with the group's keys as fields, so that
// {{ .name }} is the value of the key "name".
//
// It is bounded, whatever the template says: TooLargeError answers for a source of
// more than 1 MiB, for more than 64 MiB of output or 256 MiB of texts that functions
// such as printf make on the way, for more than 2 million actions executed (a long one
// counts for several), and for templates that call each other 100 deep, or loops that
// stand in each other 32 deep. The handle's context (WithContext) is obeyed while it
// runs.
func (s *Store) Render(templateSource, group string) (string, error) {
	return s.render("Render", templateSource, group, false)
}

// RenderStrict is Render, but a key that is not in the group is an error: Render has
// "<no value>" for {{ .name }} then, and nothing for {{ index . "name" }}.
func (s *Store) RenderStrict(templateSource, group string) (string, error) {
	return s.render("RenderStrict", templateSource, group, true)
}

// RenderStrict is Store.RenderStrict within the namespace.
func (s *ScopedStore) RenderStrict(templateSource, group string) (string, error) {
	return s.parent().RenderStrict(templateSource, s.within()+group)
}

func (s *Store) render(function, source, group string, strict bool) (string, error) {
	if err := s.missing(); err != nil {
		return "", wrap(function, err)
	}
	r := &rendering{ctx: s.context()}
	parsed, err := r.parse(source, strict)
	if err != nil {
		return "", wrap(function, fmt.Errorf("parse template: %w", err))
	}
	fields, err := s.GetAll(group)
	if err != nil {
		return "", err
	}
	if err := parsed.Execute(r, fields); err != nil {
		return "", wrap(function, fmt.Errorf("execute template: %w", err))
	}
	return r.out.String(), nil
}

// rendering is one template that is executed, and what it has taken.
type rendering struct {
	ctx         context.Context
	out         strings.Builder
	made        int // bytes that functions have made
	look        int // at the context, at this step
	steps, deep int
}

// Functions that are put into what was parsed. A template itself can't name them: to
// leave what it is in would allow it any depth.
const (
	stepFunction  = "renderStep"
	enterFunction = "renderEnter"
	leaveFunction = "renderLeave"
)

func (r *rendering) parse(source string, strict bool) (*template.Template, error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("%d bytes, of at most %d: %w", len(source), maxTemplate, TooLargeError)
	}
	functions := template.FuncMap{
		"printf": r.printf, "print": r.print, "println": r.println,
		"html": r.escape(template.HTMLEscaper, 5), "js": r.escape(template.JSEscaper, 6), "urlquery": r.escape(template.URLQueryEscaper, 3),
	}
	t := template.New("render").Funcs(functions)
	if strict {
		t = t.Option("missingkey=error").Funcs(template.FuncMap{"index": strictIndex})
	}
	// The nodes that are put in are copies of these.
	counting := template.FuncMap{stepFunction: r.step, enterFunction: r.enter, leaveFunction: r.leave}
	own, err := template.New("own").Funcs(counting).Parse("{{" + stepFunction + " 1}}{{" + enterFunction + "}}{{" + leaveFunction + "}}")
	if err != nil {
		return nil, err
	}
	parsed, err := t.Parse(source)
	if err != nil {
		return nil, err
	}
	parsed.Funcs(counting)
	step, enter, leave := own.Root.Nodes[0], own.Root.Nodes[1], own.Root.Nodes[2]
	for _, t := range parsed.Templates() {
		if t.Tree == nil || t.Root == nil {
			continue
		}
		if err := countSteps(t.Root, step, 0); err != nil {
			return nil, err
		}
		t.Root.Nodes = append(append([]parse.Node{enter.Copy()}, t.Root.Nodes...), leave.Copy())
	}
	return parsed, nil
}

// countSteps puts a step before every action of a list that stands within so many
// loops, and of those in it.
func countSteps(list *parse.ListNode, step parse.Node, deep int) error {
	if list == nil {
		return nil
	}
	if deep > maxRenderLoops {
		return fmt.Errorf("loops stand more than %d deep in each other: %w", maxRenderLoops, TooLargeError)
	}
	nodes := []parse.Node{stepOf(step, 1)} // also of a loop that does nothing
	for _, node := range list.Nodes {
		within := deep
		if _, loop := node.(*parse.RangeNode); loop {
			within++
		}
		for _, inner := range listsOf(node) {
			if err := countSteps(inner, step, within); err != nil {
				return err
			}
		}
		if _, text := node.(*parse.TextNode); !text {
			own := stepOf(step, 1+words(pipeOf(node))/wordsAStep)
			if len(nodes) == 1 {
				nodes[0] = own
			} else {
				nodes = append(nodes, own)
			}
		}
		nodes = append(nodes, node)
	}
	list.Nodes = nodes
	return nil
}

// stepOf is a step that counts for so many.
func stepOf(step parse.Node, times int) parse.Node {
	own := step.Copy().(*parse.ActionNode)
	own.Pipe.Cmds[0].Args[1].(*parse.NumberNode).Int64 = int64(times)
	return own
}

// pipeOf is what a node evaluates before anything that stands in it; nil: nothing.
func pipeOf(node parse.Node) *parse.PipeNode {
	switch n := node.(type) {
	case *parse.ActionNode:
		return n.Pipe
	case *parse.TemplateNode:
		return n.Pipe
	case *parse.IfNode:
		return n.Pipe
	case *parse.RangeNode:
		return n.Pipe
	case *parse.WithNode:
		return n.Pipe
	}
	return nil
}

// words is how many functions, arguments and fields a pipe has, one in brackets
// included.
func words(pipe *parse.PipeNode) (n int) {
	if pipe == nil {
		return 0
	}
	for _, command := range pipe.Cmds {
		for _, argument := range command.Args {
			n++
			switch a := argument.(type) {
			case *parse.PipeNode:
				n += words(a)
			case *parse.ChainNode:
				inner, _ := a.Node.(*parse.PipeNode)
				n += len(a.Field) + words(inner)
			case *parse.FieldNode:
				n += len(a.Ident)
			case *parse.VariableNode:
				n += len(a.Ident)
			}
		}
	}
	return n
}

// listsOf are the lists of a block.
func listsOf(node parse.Node) []*parse.ListNode {
	switch n := node.(type) {
	case *parse.IfNode:
		return []*parse.ListNode{n.List, n.ElseList}
	case *parse.RangeNode:
		return []*parse.ListNode{n.List, n.ElseList}
	case *parse.WithNode:
		return []*parse.ListNode{n.List, n.ElseList}
	}
	return nil
}

func (r *rendering) step(times int) (string, error) {
	if r.steps += times; r.steps > maxRenderSteps {
		return "", fmt.Errorf("more than %d actions were executed: %w", maxRenderSteps, TooLargeError)
	}
	if r.steps >= r.look {
		r.look = r.steps + renderStepsACall
		if err := r.ctx.Err(); err != nil {
			return "", fmt.Errorf("gave up: %w", err)
		}
	}
	return "", nil
}

func (r *rendering) enter() (string, error) {
	if r.deep++; r.deep > maxRenderDepth {
		return "", fmt.Errorf("templates are more than %d deep in each other: %w", maxRenderDepth, TooLargeError)
	}
	return r.step(1)
}

func (r *rendering) leave() string {
	r.deep--
	return ""
}

// Write takes output.
func (r *rendering) Write(b []byte) (int, error) {
	if r.out.Len()+len(b) > maxRendered {
		return 0, fmt.Errorf("more than %d bytes of output: %w", maxRendered, TooLargeError)
	}
	return r.out.Write(b)
}

// WriteString spares a copy.
func (r *rendering) WriteString(s string) (int, error) {
	if r.out.Len()+len(s) > maxRendered {
		return 0, fmt.Errorf("more than %d bytes of output: %w", maxRendered, TooLargeError)
	}
	return r.out.WriteString(s)
}

// take allows a function to make a text that may be so long, and gives back what was
// too much once it is made.
func (r *rendering) take(most int, make func() string) (string, error) {
	if most > maxRenderMade-r.made {
		return "", fmt.Errorf("functions make more than %d bytes of text: %w", maxRenderMade, TooLargeError)
	}
	text := make()
	r.made += len(text)
	return text, nil
}

func (r *rendering) print(arguments ...any) (string, error) {
	return r.take(sizes(arguments), func() string { return fmt.Sprint(arguments...) })
}

func (r *rendering) println(arguments ...any) (string, error) {
	return r.take(sizes(arguments)+1, func() string { return fmt.Sprintln(arguments...) })
}

// escape bounds one of text/template's functions that make so many bytes of one at
// most.
func (r *rendering) escape(with func(...any) string, growth int) func(...any) (string, error) {
	return func(arguments ...any) (string, error) {
		return r.take(growth*sizes(arguments), func() string { return with(arguments...) })
	}
}

func (r *rendering) printf(format string, arguments ...any) (string, error) {
	return r.take(formatted(format, arguments), func() string { return fmt.Sprintf(format, arguments...) })
}

// Bounds of what fmt makes of a value.
const (
	scalarSize = 400       // of a number, with %f
	fmtNumber  = 1_000_000 // fmt takes no width and no precision above
	quotedSize = 10        // bytes of one, with %+q
)

// formatted is how long a text of fmt.Sprintf can be at most. Each verb is taken to
// print the longest of the arguments, as it may say which.
func formatted(format string, arguments []any) (most int) {
	longest := scalarSize
	for _, a := range arguments {
		longest = max(longest, size(a))
	}
	most = len(format) + sizes(arguments) // what no verb takes is listed behind
	for at := strings.IndexByte(format, '%'); at >= 0 && at < len(format); {
		verb := format[at+1:]
		end := strings.IndexFunc(verb, func(c rune) bool { return !strings.ContainsRune("+-# 0123456789.*[]", c) })
		if end < 0 {
			end = len(verb) - 1
		}
		flags := verb[:max(end, 0)]
		number := strings.ContainsAny(flags, "123456789*")
		growth := quotedSize
		if end >= 0 && end < len(verb) && strings.IndexByte("sv", verb[end]) >= 0 && !strings.Contains(flags, "#") {
			growth = 1
		}
		most += growth * longest
		if number {
			most += fmtNumbers(flags)
		}
		if most > maxRenderMade {
			return most
		}
		next := strings.IndexByte(verb[min(end+1, len(verb)):], '%')
		if next < 0 {
			break
		}
		at += 1 + min(end+1, len(verb)) + next
	}
	return most
}

// fmtNumbers is what the width and the precision of a verb add at most.
func fmtNumbers(flags string) (most int) {
	for flags != "" {
		if flags[0] == '*' {
			most += fmtNumber
			flags = flags[1:]
			continue
		}
		digits, n := 0, 0
		for n < len(flags) && '0' <= flags[n] && flags[n] <= '9' {
			digits = min(digits*10+int(flags[n]-'0'), fmtNumber)
			n++
		}
		most += digits
		flags = flags[max(n, 1):]
	}
	return most
}

// size is how long a value is at most, printed as it is.
func size(value any) int {
	switch v := value.(type) {
	case string:
		return len(v) + 2
	case map[string]string:
		n := scalarSize
		for key, value := range v {
			n += len(key) + len(value) + 8
		}
		return n
	default: // a number, a boolean, nothing: there is no other
		return scalarSize
	}
}

func sizes(values []any) (n int) {
	for _, v := range values {
		n += size(v) + 1
	}
	return n
}

var errNoSuchIndex = errors.New("index out of range")

// strictIndex is text/template's index for what a group has: its keys, and the bytes of
// a value.
func strictIndex(item any, by ...any) (any, error) {
	for _, argument := range by {
		switch of := item.(type) {
		case map[string]string:
			key, ok := argument.(string)
			if !ok {
				return nil, fmt.Errorf("a key is a string, not %v", argument)
			}
			value, there := of[key]
			if !there {
				return nil, fmt.Errorf("map has no entry for key %q", key)
			}
			item = value
		case string:
			at, ok := argument.(int)
			if !ok || at < 0 || at >= len(of) {
				return nil, fmt.Errorf("%w: %v", errNoSuchIndex, argument)
			}
			item = of[at]
		default:
			return nil, fmt.Errorf("can't index %v", item)
		}
	}
	return item, nil
}
