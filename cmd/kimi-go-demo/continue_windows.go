package main

// onContinue does nothing: Windows does not stop a program at Ctrl-Z.
func onContinue(func()) (release func()) { return func() {} }
