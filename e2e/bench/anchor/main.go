// The anchor of `fanout`: go-control-plane's LinearCache behind grpc-go, serving the same endpoints as the xDS server.
// Reads a command a line on standard input and answers each with a line of JSON; see go-server-process.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const roundLimit = 60 * time.Second

// command: exactly one of the fields is set.
type command struct {
	// Assignments are encoded ClusterLoadAssignments, one for each change to come; the first is set at once.
	Assignments [][]byte `json:"assignments,omitempty"`
	Round       *struct {
		Changes int `json:"changes"`
		Streams int `json:"streams"`
	} `json:"round,omitempty"`
	Memory *struct {
		Collect bool `json:"collect"`
	} `json:"memory,omitempty"`
}

type round struct {
	// At are milliseconds of CLOCK_MONOTONIC.
	At        []float64 `json:"at"`
	CPUUs     float64   `json:"cpuUs"`
	ElapsedMs float64   `json:"elapsedMs"`
}

type anchor struct {
	name        string
	linear      *cache.LinearCache
	assignments []*endpoint.ClusterLoadAssignment
	turn        int
	requests    atomic.Int64
}

func monotonicMs() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return float64(now.Nano()) / 1e6
}

func cpuUs() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e3
}

func residentBytes() (int64, error) {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(status), &size, &resident); err != nil {
		return 0, err
	}
	return resident * int64(os.Getpagesize()), nil
}

func (a *anchor) change() error {
	next := a.assignments[a.turn%len(a.assignments)]
	a.turn++
	return a.linear.UpdateResource(a.name, types.Resource(next))
}

func (a *anchor) round(changes, streams int) (*round, error) {
	result := &round{}
	before, started := cpuUs(), monotonicMs()
	deadline := time.Now().Add(roundLimit)
	for turn := 0; turn < changes; turn++ {
		target := a.requests.Load() + int64(streams)
		result.At = append(result.At, monotonicMs())
		if err := a.change(); err != nil {
			return nil, err
		}
		for a.requests.Load() < target {
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("%d ACKs have not come within %s", target-a.requests.Load(), roundLimit)
			}
			time.Sleep(time.Millisecond)
		}
	}
	result.CPUUs, result.ElapsedMs = cpuUs()-before, monotonicMs()-started
	return result, nil
}

func (a *anchor) handle(c command) (any, error) {
	switch {
	case c.Assignments != nil:
		for _, bytes := range c.Assignments {
			assignment := &endpoint.ClusterLoadAssignment{}
			if err := proto.Unmarshal(bytes, assignment); err != nil {
				return nil, err
			}
			a.name = assignment.GetClusterName()
			a.assignments = append(a.assignments, assignment)
		}
		return true, a.change()
	case c.Round != nil:
		return a.round(c.Round.Changes, c.Round.Streams)
	case c.Memory != nil:
		if c.Memory.Collect {
			runtime.GC()
		}
		rss, err := residentBytes()
		return map[string]int64{"rss": rss}, err
	}
	return nil, fmt.Errorf("an unknown command")
}

func run() error {
	a := &anchor{linear: cache.NewLinearCache(resource.EndpointType)}
	callbacks := server.CallbackFuncs{
		StreamDeltaRequestFunc: func(int64, *discovery.DeltaDiscoveryRequest) error {
			a.requests.Add(1)
			return nil
		},
	}
	mux := &cache.MuxCache{
		ClassifyDelta: func(*discovery.DeltaDiscoveryRequest) string { return "endpoints" },
		Caches:        map[string]cache.Cache{"endpoints": a.linear},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, server.NewServer(context.Background(), mux, callbacks))
	go func() { _ = grpcServer.Serve(listener) }()

	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(listener.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	commands := json.NewDecoder(bufio.NewReader(os.Stdin))
	for commands.More() {
		var c command
		if err := commands.Decode(&c); err != nil {
			return err
		}
		answer, err := a.handle(c)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
