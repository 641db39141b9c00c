// What stands behind every gateway of the benchmark: the same TLS 1.3 server (mTLS, ALPN, P-256, AES-128-GCM) for all of them, and
// the same service without TLS. A thread a connection, blocking. Compiled and started by native-programs.ts:
//     upstream DIRECTORY API_PORT
// DIRECTORY holds server.pem (certificate and key) and ca.pem. Prints one JSON line with its ports, ends when its input ends.
//
// On the port `postern` it is on the wire what an access server is: ALPN postern-tcp gets the preamble (docs/protocol.md) and then
// the service; every other ALPN name goes, unread, to the access server at API_PORT, which knows logins and certificates. On the
// port `peers` (ALPN bench, or none) there is no preamble, and on the port `plain` no TLS.
//
// The service, after one byte and a count n (8 bytes, little endian), both repeated as often as the client likes:
//     1  echo messages of n bytes until the end     2  read n bytes, then answer one     3  send n bytes
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 65536, THREAD_STACK = 256 * 1024, HELLO_MAX = 16384 };
enum kind { POSTERN, PEERS, PLAIN };
struct connection { int fd; SSL *tls; enum kind kind; };

static SSL_CTX *context;
static int api_port;

static void fail(const char *what) {
  fprintf(stderr, "upstream: %s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static ssize_t read_some(struct connection *c, void *into, size_t size) {
  return c->tls ? SSL_read(c->tls, into, size) : read(c->fd, into, size);
}

static int read_all(struct connection *c, void *into, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t got = read_some(c, (char *)into + at, size - at);
    if (got <= 0) return 0;
    at += got;
  }
  return 1;
}

static int write_all(struct connection *c, const void *from, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t put = c->tls ? SSL_write(c->tls, (const char *)from + at, size - at) : write(c->fd, (const char *)from + at, size - at);
    if (put <= 0) return 0;
    at += put;
  }
  return 1;
}

static int send_preamble(struct connection *c) {
  char json[200], time_text[32];
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
  uint32_t length = snprintf(json + 4, sizeof json - 4, "{\"ok\":{\"version\":1,\"sessionId\":\"bench\",\"serverTime\":\"%s.%03ldZ\"}}", time_text, now.tv_nsec / 1000000);
  uint32_t big_endian = htonl(length);
  memcpy(json, &big_endian, 4);
  return write_all(c, json, 4 + length);
}

static void serve(struct connection *c) {
  unsigned char head[9];
  char *block = calloc(1, BLOCK);
  while (read_all(c, head, sizeof head)) {
    uint64_t n;
    memcpy(&n, head + 1, 8);
    if (head[0] == 1 && n <= BLOCK) {
      while (read_all(c, block, n) && write_all(c, block, n));
      break;
    } else if (head[0] == 2) {
      ssize_t got = 1;
      for (; n > 0 && (got = read_some(c, block, n < BLOCK ? n : BLOCK)) > 0; n -= got);
      if (got <= 0 || !write_all(c, "k", 1)) break;
    } else if (head[0] == 3) {
      int is_sent = 1;
      for (size_t size; n > 0 && is_sent; n -= size) is_sent = write_all(c, block, size = n < BLOCK ? n : BLOCK);
      if (!is_sent) break;
    } else break;
  }
  free(block);
}

/** Whether the ClientHello, which stays unread, asks for postern-tcp. */
static int asks_for_service(int fd) {
  static const char name[] = "\x0bpostern-tcp";
  unsigned char hello[HELLO_MAX];
  if (recv(fd, hello, 5, MSG_PEEK | MSG_WAITALL) != 5) return -1;
  size_t size = 5 + (hello[3] << 8 | hello[4]);
  if (size > sizeof hello || recv(fd, hello, size, MSG_PEEK | MSG_WAITALL) != (ssize_t)size) return -1;
  return memmem(hello, size, name, sizeof name - 1) != NULL;
}

/** Everything else of the access server's port: bytes there and back until one side is over. */
static void pass_on(int fd) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(api_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char block[16384];
  struct pollfd both[2] = {{fd, POLLIN, 0}, {other, POLLIN, 0}};
  if (connect(other, (void *)&to, sizeof to) == 0)
    while (poll(both, 2, -1) > 0) {
      int from = both[0].revents ? 0 : 1;
      ssize_t got = read(both[from].fd, block, sizeof block);
      if (got <= 0 || write(both[1 - from].fd, block, got) != got) break;
    }
  close(other);
}

static void *run(void *argument) {
  struct connection *c = argument;
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  int is_service = c->kind == POSTERN ? asks_for_service(c->fd) : 1;
  if (is_service == 0) pass_on(c->fd);
  else if (is_service == 1 && c->kind == PLAIN) serve(c);
  else if (is_service == 1) {
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    if (SSL_accept(c->tls) == 1 && (c->kind == PEERS || send_preamble(c))) serve(c);
    if (SSL_is_init_finished(c->tls)) SSL_shutdown(c->tls);
    SSL_free(c->tls);
  }
  close(c->fd);
  free(c);
  return NULL;
}

static int choose_alpn(SSL *tls, const unsigned char **out, unsigned char *size, const unsigned char *in, unsigned in_size, void *unused) {
  static const unsigned char ours[] = "\x0bpostern-tcp\x05" "bench";
  int chosen = SSL_select_next_proto((unsigned char **)out, size, ours, sizeof ours - 1, in, in_size);
  return chosen == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

struct listener { int fd; enum kind kind; };

static void *accept_all(void *argument) {
  struct listener *listener = argument;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, THREAD_STACK);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) continue;
    struct connection *c = calloc(1, sizeof *c);
    *c = (struct connection){.fd = fd, .kind = listener->kind};
    pthread_t thread;
    if (pthread_create(&thread, &attributes, run, c)) { close(fd); free(c); }
  }
  return NULL;
}

static int listen_on_loopback(struct listener *listener, enum kind kind) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  *listener = (struct listener){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), kind};
  if (bind(listener->fd, (void *)&address, size) || listen(listener->fd, 4096)) fail("cannot listen");
  getsockname(listener->fd, (void *)&address, &size);
  pthread_t thread;
  pthread_create(&thread, NULL, accept_all, listener);
  return ntohs(address.sin_port);
}

int main(int count, char **arguments) {
  if (count != 3 || chdir(arguments[1])) fail("usage: upstream DIRECTORY API_PORT");
  api_port = atoi(arguments[2]);
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (SSL_CTX_use_certificate_chain_file(context, "server.pem") != 1 || SSL_CTX_use_PrivateKey_file(context, "server.pem", SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(context, "ca.pem", NULL) != 1)
    fail("certificates");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  // Tickets are on (stateless): who may resume, does.
  SSL_CTX_set_session_id_context(context, (const void *)"bench", 5);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, BLOCK + 4096);

  static struct listener postern, peers, plain;
  printf("{\"postern\":%d,\"peers\":%d,\"plain\":%d}\n", listen_on_loopback(&postern, POSTERN), listen_on_loopback(&peers, PEERS), listen_on_loopback(&plain, PLAIN));
  fflush(stdout);
  // Whoever started it holds the other end: it goes with them, however they end.
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
