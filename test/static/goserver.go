// SPDX-License-Identifier: BSD-3-Clause

// A web server and its client in one static Go program.
//
//	goserver-go server ADDRESS:PORT
//	goserver-go client ADDRESS:PORT
//
// Go makes its system calls itself, from small stacks and many threads, and
// waits with edge-triggered epoll: nothing of libc is there to lean on.  The
// client checks every endpoint, many requests at once and kept alive, half of
// them over connections of their own.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const bytesMax = 256 << 20

// stream is the same for client and server: n bytes from a seeded generator.
func stream(n int64) io.Reader {
	return io.LimitReader(rand.New(rand.NewSource(n)), n)
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "hello")
}

func peer(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, r.RemoteAddr)
}

// data answers /data?n=N with N bytes; with &chunked=1 of unannounced length.
func data(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil || n < 0 || n > bytesMax {
		http.Error(w, "n?", http.StatusBadRequest)
		return
	}
	if r.FormValue("chunked") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
	io.Copy(w, stream(n))
}

// file answers /file?n=N with the same N bytes, or with the ranges of them that are asked for.
func file(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil || n < 0 || n > bytesMax {
		http.Error(w, "n?", http.StatusBadRequest)
		return
	}
	b, _ := io.ReadAll(stream(n))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

func sum(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, hex.EncodeToString(h.Sum(nil)))
}

func server(address string) error {
	http.HandleFunc("/hello", hello)
	http.HandleFunc("/peer", peer)
	http.HandleFunc("/data", data)
	http.HandleFunc("/file", file)
	http.HandleFunc("/echo", echo)
	http.HandleFunc("/sum", sum)
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	return http.Serve(l, nil)
}

func fetch(c *http.Client, method, url string, body io.Reader) ([]byte, error) {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return got, err
}

func expect(c *http.Client, method, url string, body, want []byte) error {
	got, err := fetch(c, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %d bytes differ from the %d expected", url, len(got), len(want))
	}
	return nil
}

// round makes one request to each endpoint; n picks the sizes.
func round(c *http.Client, base string, n int) error {
	size := int64(1 + n*n*997%400000)
	blob, _ := io.ReadAll(stream(size))
	digest := sha256.Sum256(blob)
	for _, q := range []struct {
		method, path string
		body, want   []byte
	}{
		{"GET", "/hello", nil, []byte("hello\n")},
		{"GET", fmt.Sprintf("/data?n=%d", size), nil, blob},
		{"GET", fmt.Sprintf("/data?n=%d&chunked=1", size), nil, blob},
		{"POST", "/echo", blob, blob},
		{"POST", "/sum", blob, []byte(hex.EncodeToString(digest[:]) + "\n")},
	} {
		if err := expect(c, q.method, base+q.path, q.body, q.want); err != nil {
			return err
		}
	}
	got, err := fetch(c, "GET", base+"/peer", nil)
	if err == nil {
		_, _, err = net.SplitHostPort(strings.TrimSpace(string(got)))
	}
	return err
}

func client(address string) error {
	const workers, rounds = 16, 5
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			c := &http.Client{
				Timeout:   20 * time.Second,
				Transport: &http.Transport{DisableKeepAlives: w%2 == 1},
			}
			for n := 0; n < rounds; n++ {
				if err := round(c, "http://"+address, w*rounds+n); err != nil {
					errs <- err
					return
				}
			}
		}(w)
	}
	wg.Wait()
	close(errs)
	for err := range errs { // nil when nothing was sent
		return err
	}
	fmt.Printf("ok: %d rounds by %d workers\n", rounds, workers)
	return nil
}

func main() {
	modes := map[string]func(string) error{"server": server, "client": client}
	if len(os.Args) != 3 || modes[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s server|client ADDRESS:PORT\n", os.Args[0])
		os.Exit(2)
	}
	if err := modes[os.Args[1]](os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "goserver:", err)
		os.Exit(1)
	}
}
