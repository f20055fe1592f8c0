// SPDX-License-Identifier: BSD-3-Clause
//
// Nio.java - Java's channels, sockets and HTTP, server and client, for java.sh
//
//	java Nio server ADDRESS PORT
//	java Nio ask ADDRESS PORT
//
// The server answers the bytes that it gets, each plus one: at PORT by a selector,
// at PORT + 1 by a thread for each connection, at PORT + 2 by asynchronous
// channels, datagrams at PORT; at PORT + 3 it has a file by HTTP.  The client asks
// all, and then closes sockets under threads that wait in them.

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.*;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

public class Nio {
	static final int SIZE = 200_000;

	static byte[] content(int seed)
	{
		byte[] b = new byte[SIZE];
		new Random(seed).nextBytes(b);
		return b;
	}

	static void plusOne(ByteBuffer b)
	{
		for (int i = 0; i < b.limit(); i++)
			b.put(i, (byte)(b.get(i) + 1));
	}

	static void check(String what, byte[] got, int seed)
	{
		byte[] want = content(seed);
		plusOne(ByteBuffer.wrap(want));
		if (!Arrays.equals(got, want))
			throw new IllegalStateException(what + ": the answer is wrong");
	}

	static void work(Callable<?> body)
	{
		Thread t = new Thread(() -> {
			try {
				body.call();
			} catch (Exception e) {
				e.printStackTrace();
				System.exit(1);
			}
		});
		t.setDaemon(true);
		t.start();
	}

	// --- servers --------------------------------------------------------------

	static void selecting(SocketAddress at) throws IOException
	{
		Selector selector = Selector.open();
		ServerSocketChannel listener = ServerSocketChannel.open().bind(at, 100);
		listener.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
		DatagramChannel datagrams = DatagramChannel.open().bind(at);
		datagrams.configureBlocking(false).register(selector, SelectionKey.OP_READ);
		work(() -> {
			while (true) {
				selector.select();
				for (SelectionKey key : selector.selectedKeys())
					if (key.isAcceptable())
						listener.accept().configureBlocking(false).register(selector,
							SelectionKey.OP_READ, ByteBuffer.allocateDirect(30000));
					else if (key.channel() == datagrams)
						answer(datagrams);
					else
						converse(key);
				selector.selectedKeys().clear();
			}
		});
	}

	static void answer(DatagramChannel channel) throws IOException
	{
		ByteBuffer b = ByteBuffer.allocate(2000);
		SocketAddress peer = channel.receive(b);
		plusOne(b.flip());
		channel.send(b, peer);
	}

	// Reads while its buffer is empty, writes until it is again.
	static void converse(SelectionKey key) throws IOException
	{
		SocketChannel channel = (SocketChannel)key.channel();
		ByteBuffer b = (ByteBuffer)key.attachment();
		if (key.isReadable()) {
			if (channel.read(b) < 0) {
				channel.close();
				return;
			}
			plusOne(b.flip());
		}
		channel.write(b);
		key.interestOps(b.hasRemaining() ? SelectionKey.OP_WRITE : SelectionKey.OP_READ);
		if (!b.hasRemaining())
			b.clear();
	}

	static void threads(int port, InetAddress address) throws IOException
	{
		ServerSocket listener = new ServerSocket(port, 100, address);
		work(() -> {
			while (true) {
				Socket s = listener.accept();
				work(() -> {
					byte[] b = new byte[20000];
					for (int n; (n = s.getInputStream().read(b)) > 0; ) {
						plusOne(ByteBuffer.wrap(b, 0, n));
						s.getOutputStream().write(b, 0, n);
					}
					s.close();
					return null;
				});
			}
		});
	}

	static void asynchronous(SocketAddress at) throws IOException
	{
		AsynchronousServerSocketChannel listener =
			AsynchronousServerSocketChannel.open().bind(at, 100);
		work(() -> {
			while (true) {
				AsynchronousSocketChannel s = listener.accept().get();
				work(() -> {
					ByteBuffer b = ByteBuffer.allocate(20000);
					while (s.read(b).get() > 0) {
						plusOne(b.flip());
						while (b.hasRemaining())
							s.write(b).get();
						b.clear();
					}
					s.close();
					return null;
				});
			}
		});
	}

	static void http(InetSocketAddress at) throws IOException
	{
		HttpServer server = HttpServer.create(at, 100);
		server.createContext("/", exchange -> {
			byte[] body = content(Integer.parseInt(exchange.getRequestURI().getPath().substring(1)));
			plusOne(ByteBuffer.wrap(body));
			exchange.sendResponseHeaders(200, body.length);
			exchange.getResponseBody().write(body);
			exchange.close();
		});
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.start();
	}

	// --- clients --------------------------------------------------------------

	static void askBlocking(InetSocketAddress at, int seed) throws Exception
	{
		try (Socket s = new Socket()) {
			s.connect(at, 20000);
			s.setSoTimeout(20000);
			work(() -> {
				s.getOutputStream().write(content(seed));
				s.shutdownOutput();
				return null;
			});
			check("a socket to " + at, s.getInputStream().readAllBytes(), seed);
		}
	}

	// transferTo() is sendfile() here.
	static void askChannel(InetSocketAddress at, int seed) throws Exception
	{
		Path file = Files.createTempFile("nio", "");
		Files.write(file, content(seed));
		ByteBuffer got = ByteBuffer.allocate(SIZE);
		try (SocketChannel s = SocketChannel.open(at); FileChannel f = FileChannel.open(file)) {
			work(() -> {
				for (long done = 0; done < SIZE; )
					done += f.transferTo(done, SIZE - done, s);
				return null;
			});
			while (got.hasRemaining() && s.read(got) >= 0)
				;
		}
		Files.delete(file);
		check("a channel to " + at, got.array(), seed);
	}

	record Asked(int seed, ByteBuffer sent, ByteBuffer got) { }

	static void askSelecting(InetSocketAddress at, int connections) throws Exception
	{
		Selector selector = Selector.open();
		for (int i = 0; i < connections; i++) {
			SocketChannel s = SocketChannel.open();
			s.configureBlocking(false).register(selector, SelectionKey.OP_CONNECT,
				new Asked(i, ByteBuffer.wrap(content(i)), ByteBuffer.allocate(SIZE)));
			s.connect(at);
		}
		for (int left = connections; left > 0; selector.selectedKeys().clear()) {
			if (selector.select(20000) == 0)
				throw new IllegalStateException("a selector waits in vain");
			for (SelectionKey key : selector.selectedKeys()) {
				SocketChannel s = (SocketChannel)key.channel();
				Asked asked = (Asked)key.attachment();
				if (key.isConnectable())
					s.finishConnect();
				s.write(asked.sent);
				s.read(asked.got);
				key.interestOps(SelectionKey.OP_READ |
					(asked.sent.hasRemaining() ? SelectionKey.OP_WRITE : 0));
				if (!asked.got.hasRemaining()) {
					s.close();
					left--;
					check("a selector's", asked.got.array(), asked.seed);
				}
			}
		}
	}

	static void askHttp(InetSocketAddress at, int n) throws Exception
	{
		HttpClient client = HttpClient.newHttpClient();
		List<CompletableFuture<HttpResponse<byte[]>>> answers = new ArrayList<>();
		for (int i = 0; i < n; i++)
			answers.add(client.sendAsync(HttpRequest.newBuilder(URI.create("http://" +
				at.getHostString() + ":" + at.getPort() + "/" + i)).build(),
				HttpResponse.BodyHandlers.ofByteArray()));
		for (int i = 0; i < n; i++)
			check("HTTP", answers.get(i).get(20, TimeUnit.SECONDS).body(), i);
	}

	static void askDatagrams(InetSocketAddress at) throws Exception
	{
		DatagramSocket s = new DatagramSocket();
		s.setSoTimeout(20000);
		for (int i = 0; i < 20; i++) {
			byte[] b = { 1, (byte)i, 2 };
			s.send(new DatagramPacket(b, b.length, at));
			DatagramPacket got = new DatagramPacket(new byte[100], 100);
			s.receive(got);
			if (got.getLength() != 3 || got.getData()[1] != i + 1 ||
				!got.getSocketAddress().equals(at))
				throw new IllegalStateException("datagram " + i + " from " +
					got.getSocketAddress());
		}
		s.close();
	}

	interface Action { void run() throws IOException; }

	// Java closes a socket that is in use by dup2() and a signal to who waits.
	static void closed(String what, Action close, Action wait) throws Exception
	{
		FutureTask<String> task = new FutureTask<>(() -> {
			try {
				wait.run();
				return "it returned";
			} catch (ClosedChannelException | SocketException e) {
				return null;
			}
		});
		Thread t = new Thread(task);
		t.start();
		// in its system call, as far as one can see
		for (String at = ""; !at.contains("sun.nio.ch.") || !at.contains("Native"); Thread.sleep(10))
			at = t.getStackTrace().length == 0 ? "" : t.getStackTrace()[0].toString();
		close.run();
		String failed = task.get(20, TimeUnit.SECONDS);
		if (failed != null)
			throw new IllegalStateException(what + ": " + failed);
	}

	static void askClosing(InetSocketAddress at) throws Exception
	{
		ServerSocket listener = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
		closed("ServerSocket.accept", listener::close, listener::accept);
		Socket socket = new Socket(at.getAddress(), at.getPort());
		closed("Socket.read", socket::close, () -> socket.getInputStream().read());
		SocketChannel channel = SocketChannel.open(at);
		closed("SocketChannel.read", channel::close, () -> channel.read(ByteBuffer.allocate(1)));
		// nothing is left of it: the port is free
		new ServerSocket(listener.getLocalPort(), 5, InetAddress.getLoopbackAddress()).close();
	}

	public static void main(String[] args) throws Exception
	{
		InetAddress address = InetAddress.getByName(args[1]);
		int port = Integer.parseInt(args[2]);
		InetSocketAddress[] at = new InetSocketAddress[4];
		for (int i = 0; i < 4; i++)
			at[i] = new InetSocketAddress(address, port + i);
		if (args[0].equals("server")) {
			selecting(at[0]);
			threads(port + 1, address);
			asynchronous(at[2]);
			http(at[3]);
			System.out.println("listening");
			Thread.currentThread().join();
		}
		for (int i = 0; i < 3; i++) {
			askBlocking(at[i], i);
			askChannel(at[i], i + 10);
			askSelecting(at[i], 10);
		}
		askHttp(at[3], 8);
		askDatagrams(at[0]);
		askClosing(at[0]);
		System.out.println("all answers came");
		System.exit(0);
	}
}
