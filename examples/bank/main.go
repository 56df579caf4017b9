// Command bank keeps accounts that are persistent actors, and lets the process that runs
// them be killed (SIGKILL) at random moments, again and again. Payments go from actor to
// actor: the payer's event is committed before the message is sent, the payee's before it
// is answered; what was not answered is sent again after a restart, and the payee drops
// what it has had before.
//
// The program starts itself anew as the child that is killed. After each kill it opens the
// store itself and looks. The invariant: once everything that was under way has arrived,
// the accounts have as much money between them as in the beginning, and every payment that
// the child has said was made is there.
//
// With -bug the payee does not drop what it has had before. The sum is wrong then, and the
// program says so with exit code 1.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/examples/internal/ending"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
)

const (
	accounts = 16
	opening  = 1000 // in each account
	patience = 10 * time.Second
)

var (
	length = flag.Duration("for", 3*time.Second, "how long the bank is open")
	seed   = flag.Uint64("seed", 1, "of the payments, and of the moments at which it is killed")
	bug    = flag.Bool("bug", false, "have payees take a payment as often as it is sent")
	child  = flag.String("child", "", "be the bank that is killed, in the store of this name (for the program itself)")
)

func main() {
	flag.Parse()
	if *child == "" {
		ending.Within(*length + 16*time.Second)
	}
	do := parent
	if *child != "" {
		do = func(out io.Writer) error { return work(out, *child) }
	}
	if err := do(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

// parent kills the bank, and audits it.
func parent(out io.Writer) error {
	folder, err := os.MkdirTemp("", "go-store-bank-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path, random, made := filepath.Join(folder, "bank.db"), rand.New(rand.NewPCG(*seed, 0)), make(payments)
	kills := 0
	for began := time.Now(); time.Since(began) < *length; kills++ {
		if err := killed(path, random, made); err != nil {
			return err
		}
		if err := audit(path, made); err != nil {
			return fmt.Errorf("after %d kills: %w", kills+1, err)
		}
	}
	fmt.Fprintf(out, "%d kills, %d payments were made; all of them are there, and %d accounts hold %d as in the beginning\n",
		kills, made.sum(), accounts, accounts*opening)
	return nil
}

// payments are how many were made, by payer and payee.
type payments map[[2]int]int

func (p payments) sum() (sum int) {
	for _, n := range p {
		sum += n
	}
	return sum
}

// killed runs the bank in a process of its own, kills that some time after its first
// payment, and notes what it has said until then.
func killed(path string, random *rand.Rand, made payments) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(program, "-child="+path, "-seed="+strconv.FormatUint(random.Uint64(), 10), fmt.Sprintf("-bug=%v", *bug))
	command.Stderr = os.Stderr
	said, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	open := 20 + random.IntN(200)
	var stop *time.Timer
	limit := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	defer limit.Stop()
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if stop == nil {
			stop = time.AfterFunc(time.Duration(open)*time.Millisecond, func() { _ = command.Process.Kill() })
		}
		var from, to, n int
		if _, err := fmt.Sscan(lines.Text(), &from, &to, &n); err == nil {
			made[[2]int{from, to}] = max(made[[2]int{from, to}], n)
		} // else the last line, which the kill has cut
	}
	_ = command.Wait() // it was killed
	if stop == nil {
		return errors.New("the bank has made no payment")
	}
	return nil
}

// bank is an open store with its actors.
type bank struct {
	system *actor.ActorSystem
	store  *api.Store
	pids   []*actor.PID
	told   chan payment // payments that were made
	there  atomic.Bool  // all actors are: see openBank
}

func openBank(path string) (*bank, error) {
	b := &bank{told: make(chan payment, 1024), system: actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))}
	var err error
	if b.store, err = api.New(path, api.WithActorSystem(b.system)); err != nil {
		return nil, err
	}
	provider, err := persistence.New(b.store, persistence.WithSnapshotInterval(5))
	if err != nil {
		return nil, errors.Join(err, b.store.Close())
	}
	for i := range accounts {
		props := actor.PropsFromProducer(func() actor.Actor { return newAccount(i, b.told, &b.there) },
			actor.WithReceiverMiddleware(library.Using(provider)))
		pid, err := b.system.Root.SpawnNamed(props, nameOf(i))
		if err != nil {
			return nil, errors.Join(err, b.store.Close())
		}
		b.pids = append(b.pids, pid)
	}
	// Not before: the library registers an actor's name before its mailbox is ready, and a message
	// that comes in between has it stand still for good.
	b.there.Store(true)
	for _, pid := range b.pids {
		b.system.Root.Send(pid, everybodyIsThere{})
	}
	return b, nil
}

// work makes payments until it is killed.
func work(out io.Writer, path string) error {
	b, err := openBank(path)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	const atATime = 32
	for range atATime {
		b.pay(random)
	}
	for p := range b.told {
		fmt.Fprintln(out, p.from, p.to, p.n)
		b.pay(random)
	}
	return nil
}

func (b *bank) pay(random *rand.Rand) {
	from := random.IntN(accounts)
	to := (from + 1 + random.IntN(accounts-1)) % accounts
	b.system.Root.Send(b.pids[from], pay{to, random.IntN(100)})
}

// audit opens the bank, waits until all payments have arrived, and counts.
func audit(path string, made payments) (err error) {
	b, err := openBank(path)
	if err != nil {
		return err
	}
	defer func() {
		for _, pid := range b.pids {
			err = errors.Join(err, ending.Stop(b.system, pid))
		}
		err = errors.Join(err, b.store.Close())
	}()
	for quiet := false; ; time.Sleep(time.Millisecond) {
		sum, underWay := 0, 0
		for i, pid := range b.pids {
			answer, err := b.system.Root.RequestFuture(pid, ask{}, patience).Result()
			if err != nil {
				return fmt.Errorf("account %d: %w", i, err)
			}
			is := answer.(statement)
			sum, underWay = sum+is.balance, underWay+is.underWay
			for to := range accounts {
				if n := made[[2]int{i, to}]; is.made[to] < n {
					return fmt.Errorf("%d payments from %d to %d were made, and %d are there", n, i, to, is.made[to])
				}
			}
		}
		switch {
		case underWay > 0:
		case !quiet: // a payment may have come to an account asked before its payer was: once more
			quiet = true
		case sum != accounts*opening:
			return fmt.Errorf("the accounts hold %d, and held %d in the beginning", sum, accounts*opening)
		default:
			return nil
		}
	}
}
