// SPDX-License-Identifier: BSD-3-Clause

// A TCP echo server and its client, on goroutines whose stacks grow and move.
//
//	goecho-go server ADDRESS:PORT
//	goecho-go client ADDRESS:PORT CONNECTIONS ROUNDS
//
// Meanwhile the collector runs all the time, and goroutines are preempted by
// signals.  The client checks each byte, says "ok", and keeps its connections until
// a line comes on its standard input.
package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
)

const sizeMax = 4000

// deep runs f under some KB of stack more, so that it is moved to a larger one.
func deep(n int, f func() error) error {
	var room [200]byte
	room[n%len(room)] = byte(n)
	if n == 0 {
		return f()
	}
	err := deep(n-1, f)
	runtime.KeepAlive(&room)
	return err
}

// churn allocates, collects and computes without a call, until done.
func churn(done <-chan struct{}) {
	var keep [64][]byte
	sum := 0
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		keep[i%len(keep)] = make([]byte, 1+i*997%50000)
		for k := 0; k < 20000; k++ {
			sum += k ^ i
		}
		if i%10 == 0 {
			runtime.GC()
		}
	}
}

func serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 30000)
	for n := 0; ; n++ {
		var k int
		err := deep(n%40, func() (err error) {
			k, err = c.Read(buf)
			return
		})
		if err != nil {
			return
		}
		if _, err = c.Write(buf[:k]); err != nil {
			return
		}
	}
}

func server(address string) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(c)
	}
}

func exchange(c net.Conn, r *rand.Rand) error {
	size := 1 + r.Intn(100)
	if r.Intn(8) == 0 {
		size = 1 + r.Intn(sizeMax)
	}
	sent, got := make([]byte, size), make([]byte, size)
	r.Read(sent)
	sender := make(chan error, 1)
	go func() {
		sender <- deep(r.Intn(30), func() error {
			_, err := c.Write(sent)
			return err
		})
	}()
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if err := <-sender; err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("%d bytes came back otherwise", size)
	}
	return nil
}

func client(address string, connections, rounds int) error {
	errs := make(chan error, connections)
	done := make(chan struct{})
	var wg sync.WaitGroup
	go churn(done)
	for i := 0; i < connections; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c, err := net.Dial("tcp4", address)
			r := rand.New(rand.NewSource(int64(i)))
			for n := 0; n < rounds && err == nil; n++ {
				err = deep(n%50, func() error { return exchange(c, r) })
			}
			errs <- err
			if err == nil {
				<-done
				c.Close()
			}
		}(i)
	}
	for i := 0; i < connections; i++ {
		if err := <-errs; err != nil {
			return err
		}
	}
	fmt.Println("ok")
	os.Stdin.Read(make([]byte, 1))
	close(done)
	wg.Wait()
	return nil
}

func main() {
	err := fmt.Errorf("usage: goecho server|client ADDRESS:PORT [CONNECTIONS ROUNDS]")
	switch {
	case len(os.Args) == 3 && os.Args[1] == "server":
		err = server(os.Args[2])
	case len(os.Args) == 5 && os.Args[1] == "client":
		connections, _ := strconv.Atoi(os.Args[3])
		rounds, _ := strconv.Atoi(os.Args[4])
		err = client(os.Args[2], connections, rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "goecho:", err)
		os.Exit(1)
	}
}
