/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cancel_cxx.cc - pthread_cancel() in C++: destructors run, from where a call waits
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

static int alive;

struct counted {
	counted()
	{
		alive++;
	}
	~counted()
	{
		alive--;
	}
};

static int ok(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

#define OK(call) ok(static_cast<int>(call), #call)

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "cancel_cxx: not so: %s\n", what);
		exit(1);
	}
}

#define CHECK(x) check(x, #x)

static void tcp_pair(int fd[2])
{
	const char *text = getenv("GZ_ADDR");
	sockaddr_in a{};
	socklen_t len = sizeof(a);
	int l = OK(socket(AF_INET, SOCK_STREAM, 0));

	a.sin_family = AF_INET;
	CHECK(inet_pton(AF_INET, text && *text ? text : "127.0.0.1", &a.sin_addr) == 1);
	OK(bind(l, reinterpret_cast<sockaddr *>(&a), sizeof(a)));
	OK(listen(l, 1));
	OK(getsockname(l, reinterpret_cast<sockaddr *>(&a), &len));
	fd[0] = OK(socket(AF_INET, SOCK_STREAM, 0));
	OK(connect(fd[0], reinterpret_cast<sockaddr *>(&a), len));
	fd[1] = OK(accept(l, nullptr, nullptr));
	OK(close(l));
}

static void expect(int from, int to, const std::string &text)
{
	std::string got(text.size(), ' ');

	CHECK(send(from, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
	CHECK(recv(to, &got[0], got.size(), MSG_WAITALL) == static_cast<ssize_t>(got.size()));
	CHECK(got == text);
}

static void *wait_in_recv(void *arg)
{
	counted outer;
	char c;

	/* Cancellation passes by as an exception that must go on. */
	try {
		counted inner;

		OK(recv(*static_cast<int *>(arg), &c, 1, 0));
	} catch (const std::exception &) {
		CHECK(false);
	}
	return nullptr;
}

static void *wait_in_read(void *arg)
{
	counted one;
	char c;

	OK(read(*static_cast<int *>(arg), &c, 1));
	return nullptr;
}

static void cancel(void *(*fn)(void *), int fd)
{
	void *result = nullptr;
	pthread_t t;

	CHECK(!pthread_create(&t, nullptr, fn, &fd));
	usleep(100000);
	CHECK(!pthread_cancel(t));
	CHECK(!pthread_join(t, &result) && result == PTHREAD_CANCELED);
	CHECK(alive == 0);
}

static void thrower(int fd)
{
	counted one;
	char c;

	OK(recv(fd, &c, 1, 0));
	throw std::runtime_error(std::string(1, c));
}

int main()
{
	int fd[2], p[2];

	alarm(20);
	tcp_pair(fd);
	OK(pipe(p));
	expect(fd[0], fd[1], "first");
	cancel(wait_in_recv, fd[1]);
	expect(fd[0], fd[1], "nobody took this");
	cancel(wait_in_read, fd[1]);
	expect(fd[0], fd[1], "nor this");
	cancel(wait_in_read, p[0]);
	OK(send(fd[0], "x", 1, 0));
	try {
		thrower(fd[1]);
		CHECK(false);
	} catch (const std::runtime_error &e) {
		CHECK(e.what() == std::string("x") && alive == 0);
	}
	return 0;
}
