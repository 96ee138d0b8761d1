package spawn

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	win "golang.org/x/sys/windows"
)

const windows = true

// killCode is the exit code of processes that Kill has ended. No program uses it by itself.
const killCode = 0x4B696C6C

// Group is a child process with all processes that it starts. On Unix it is a process group, and a process can leave
// it. On Windows it is a job object, which no process can leave and which ends with this program. Use a Group only
// once.
type Group struct {
	mu  sync.Mutex
	job win.Handle // 0 before Start and after End
}

// Guard does nothing, because the job object ends with this program. Files of the child are not removed.
func (g *Group) Guard(string, string, []string) error { return nil }

// Start starts cmd as the first process of the group. A Ctrl-C at this program's console does not reach the group. The
// child is in the job before it runs its first instruction.
func (g *Group) Start(cmd *exec.Cmd) error {
	// Check the path once more, because the caller may have changed it. Windows may add the extension of a batch file
	// to a path without an extension.
	if ext := strings.ToLower(filepath.Ext(cmd.Path)); isBatch(cmd.Path) {
		return &BatchError{cmd.Path, "cmd.exe would read them again"}
	} else if ext != ".exe" && ext != ".com" {
		return fmt.Errorf("%s: %w", cmd.Path, exec.ErrNotFound)
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.CreationFlags |= win.CREATE_NEW_PROCESS_GROUP | win.CREATE_SUSPENDED
	cmd.SysProcAttr.HideWindow = true
	g.mu.Lock() // a Kill waits until the child is in the job
	defer g.mu.Unlock()
	job, err := newJob()
	if err != nil {
		return fmt.Errorf("job object: %w", err)
	}
	if err := cmd.Start(); err != nil {
		win.CloseHandle(job)
		return err
	}
	if err := adopt(job, uint32(cmd.Process.Pid)); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		win.CloseHandle(job)
		return fmt.Errorf("job object: %w", err)
	}
	g.job = job
	return nil
}

// newJob makes a job object that ends its processes when its only handle is closed. The system closes the handle when
// this program ends in any way.
func newJob() (win.Handle, error) {
	job, err := win.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	var info win.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = win.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := win.SetInformationJobObject(job, win.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
		win.CloseHandle(job)
		return 0, err
	}
	return job, nil
}

// adopt puts a suspended process into a job and lets it run. os.Process keeps the process open, so that no other
// process can have its id.
func adopt(job win.Handle, pid uint32) error {
	process, err := win.OpenProcess(win.PROCESS_SET_QUOTA|win.PROCESS_TERMINATE, false, pid)
	if err != nil {
		return err
	}
	defer win.CloseHandle(process)
	if err := win.AssignProcessToJobObject(job, process); err != nil {
		return err
	}
	// os.StartProcess has closed the handle of the process's thread, so find the thread again.
	threads, err := win.CreateToolhelp32Snapshot(win.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return err
	}
	defer win.CloseHandle(threads)
	entry := win.ThreadEntry32{Size: uint32(unsafe.Sizeof(win.ThreadEntry32{}))}
	for err = win.Thread32First(threads, &entry); err == nil; err = win.Thread32Next(threads, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		thread, err := win.OpenThread(win.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return err
		}
		defer win.CloseHandle(thread)
		_, err = win.ResumeThread(thread)
		return err
	}
	return errors.Join(errors.New("the child has no thread"), err)
}

// Kill ends the group. Do not call it after waiting for the child.
func (g *Group) Kill() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.job == 0 {
		return nil
	}
	return win.TerminateJobObject(g.job, killCode)
}

// End ends the processes that are left in the group. Call it only once, right after waiting for the child.
func (g *Group) End() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := errors.Join(win.TerminateJobObject(g.job, killCode), win.CloseHandle(g.job))
	g.job = 0
	if err != nil {
		err = fmt.Errorf("job object: %w", err)
	}
	return err
}

// Killed reports whether Kill has ended a child with this exit code.
func (g *Group) Killed(exitCode int) bool { return exitCode == killCode }
