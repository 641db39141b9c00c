// The load of the benchmark, against a port of this machine that leads to upstream.c. Compiled and run by native-programs.ts:
//     loadgen PORT DIRECTORY|- MODE ARGUMENTS
// With a DIRECTORY (client.pem, ca.pem) it speaks TLS itself, a full handshake each, with the ALPN name in LOADGEN_ALPN (bench); with -
// it speaks to a gateway. Modes:
//     up|down CONNECTIONS BYTES      BYTES over each connection at once; the connections stand before the clock starts, which it
//                                    says on its standard error
//     ping COUNT [MS]                one byte there and back, one after the other, on one connection; at most that long
//     connect AT_ONCE MS PAUSE_US    new connection, one byte there and back, close; that long, pausing in between
//     beside-up|beside-down BULKS MS the same byte for that long, beside so many connections that carry as much as they can
//     idle CONNECTIONS               opens them, says so, keeps them until its input ends
// Prints one JSON line: seconds, bytes, count, failures, p50 and p99 in microseconds, as far as the mode knows them.
#define _GNU_SOURCE
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
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

enum { BLOCK = 65536, THREADS_MAX = 256, SAMPLES_MAX = 1000000, PATIENCE_S = 20 };
#define WARM_UP_S 0.3
struct connection { int fd; SSL *tls; };

static SSL_CTX *context;
static int port;
static volatile int is_over;
static int failures;

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

static void close_connection(struct connection *c) {
  if (c->tls) {
    SSL_shutdown(c->tls);
    SSL_free(c->tls);
  }
  if (c->fd >= 0) close(c->fd);
  *c = (struct connection){-1, NULL};
}

static int open_connection(struct connection *c) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval patience = {PATIENCE_S, 0};
  int one = 1;
  *c = (struct connection){socket(AF_INET, SOCK_STREAM, 0), NULL};
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  int is_open = connect(c->fd, (void *)&address, sizeof address) == 0;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (is_open && context) {
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    is_open = SSL_connect(c->tls) == 1;
  }
  if (!is_open) close_connection(c);
  return is_open;
}

static ssize_t read_some(struct connection *c, void *into, size_t size) {
  return c->tls ? SSL_read(c->tls, into, size) : read(c->fd, into, size);
}

static int write_all(struct connection *c, const void *from, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t put = c->tls ? SSL_write(c->tls, (const char *)from + at, size - at) : write(c->fd, (const char *)from + at, size - at);
    if (put <= 0) return 0;
    at += put;
  }
  return 1;
}

static int ask(struct connection *c, char what, uint64_t n) {
  char head[9] = {what};
  memcpy(head + 1, &n, 8);
  return write_all(c, head, sizeof head);
}

/** One byte there and back; `is_first`: after asking for the echo, in one message. */
static int echo_byte(struct connection *c, int is_first) {
  char message[10] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 'x'};
  return (is_first ? write_all(c, message, 10) : write_all(c, message + 9, 1)) && read_some(c, message, 1) == 1;
}

// --- bulk ---
static pthread_barrier_t barrier;
static uint64_t bytes_each;
static int is_upload;

static void *bulk(void *unused) {
  struct connection c;
  char *block = calloc(1, BLOCK);
  // Sinking one byte shows that the connection stands all the way.
  int is_good = open_connection(&c) && ask(&c, 2, 1) && write_all(&c, block, 1) && read_some(&c, block, 1) == 1;
  pthread_barrier_wait(&barrier);
  if (is_good) is_good = ask(&c, is_upload ? 2 : 3, bytes_each);
  ssize_t moved = 0;
  for (uint64_t left = bytes_each; is_good && left > 0; left -= moved) {
    size_t size = left < BLOCK ? left : BLOCK;
    moved = is_upload ? (write_all(&c, block, size) ? (ssize_t)size : -1) : read_some(&c, block, size);
    is_good = moved > 0;
  }
  if (is_good && is_upload) is_good = read_some(&c, block, 1) == 1;
  if (!is_good) __sync_fetch_and_add(&failures, 1);
  pthread_barrier_wait(&barrier);
  close_connection(&c);
  free(block);
  return NULL;
}

// --- beside bulk ---
static uint64_t bytes_moved;

static void *bulk_until_over(void *unused) {
  struct connection c;
  char *block = calloc(1, BLOCK);
  int is_good = open_connection(&c) && ask(&c, is_upload ? 2 : 3, (uint64_t)1 << 50);
  pthread_barrier_wait(&barrier);
  while (is_good && !is_over) {
    ssize_t moved = is_upload ? (write_all(&c, block, BLOCK) ? BLOCK : -1) : read_some(&c, block, BLOCK);
    is_good = moved > 0;
    if (is_good) __sync_fetch_and_add(&bytes_moved, moved);
  }
  if (!is_good) __sync_fetch_and_add(&failures, 1);
  close_connection(&c);
  free(block);
  return NULL;
}

// --- many short connections ---
static float samples[SAMPLES_MAX];
static long sample_count;
static int pause_us;

static void *connect_again_and_again(void *unused) {
  while (!is_over) {
    struct connection c;
    double start = seconds_now();
    if (open_connection(&c) && echo_byte(&c, 1)) {
      long at = __sync_fetch_and_add(&sample_count, 1);
      if (at < SAMPLES_MAX) samples[at] = (seconds_now() - start) * 1e6;
    } else {
      __sync_fetch_and_add(&failures, 1);
      usleep(1000);
    }
    close_connection(&c);
    if (pause_us) usleep(pause_us);
  }
  return NULL;
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/** Pings that long on this connection; the bulk beside it has begun. */
static int ping_for(struct connection *c, double seconds) {
  for (double start = seconds_now(), end = start + seconds; start < end && sample_count < SAMPLES_MAX; start = seconds_now()) {
    if (!echo_byte(c, 0)) return 0;
    samples[sample_count++] = (seconds_now() - start) * 1e6;
  }
  return 1;
}

static void print_samples(long count, double seconds) {
  if (count > SAMPLES_MAX) count = SAMPLES_MAX;
  qsort(samples, count, sizeof *samples, by_size);
  printf("{\"count\":%ld,\"seconds\":%.4f,\"bytes\":%lu,\"failures\":%d,\"p50\":%.1f,\"p99\":%.1f}\n", count, seconds, (unsigned long)bytes_moved,
         failures, count ? samples[count / 2] : 0, count ? samples[count * 99 / 100] : 0);
}

static void speak_tls(const char *directory) {
  if (chdir(directory)) exit(2);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (SSL_CTX_use_certificate_chain_file(context, "client.pem") != 1 || SSL_CTX_use_PrivateKey_file(context, "client.pem", SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(context, "ca.pem", NULL) != 1)
    exit(2);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  unsigned char alpn[256];
  const char *name = getenv("LOADGEN_ALPN");
  int length = snprintf((char *)alpn + 1, sizeof alpn - 1, "%s", name ? name : "bench");
  alpn[0] = length;
  SSL_CTX_set_alpn_protos(context, alpn, length + 1);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, BLOCK + 4096);
}

int main(int count, char **arguments) {
  if (count < 5) return 2;
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  port = atoi(arguments[1]);
  if (strcmp(arguments[2], "-")) speak_tls(arguments[2]);
  const char *mode = arguments[3];
  long first = atol(arguments[4]);
  pthread_t threads[THREADS_MAX];

  if ((!strcmp(mode, "up") || !strcmp(mode, "down")) && count == 6 && first <= THREADS_MAX) {
    is_upload = mode[0] == 'u';
    bytes_each = strtoull(arguments[5], NULL, 10);
    pthread_barrier_init(&barrier, NULL, first + 1);
    for (int at = 0; at < first; at++) pthread_create(threads + at, NULL, bulk, NULL);
    pthread_barrier_wait(&barrier);
    double start = seconds_now();
    fputs("moving\n", stderr);
    pthread_barrier_wait(&barrier);
    double seconds = seconds_now() - start;
    for (int at = 0; at < first; at++) pthread_join(threads[at], NULL);
    printf("{\"seconds\":%.4f,\"bytes\":%lu,\"failures\":%d}\n", seconds, (unsigned long)(bytes_each * first), failures);
  } else if (!strcmp(mode, "ping") && first <= SAMPLES_MAX) {
    struct connection c;
    double begin = seconds_now(), end = count > 5 ? begin + atol(arguments[5]) / 1e3 : INFINITY;
    int is_good = open_connection(&c) && echo_byte(&c, 1);
    for (long warm = first / 10; is_good && warm > 0 && seconds_now() < end; warm--) is_good = echo_byte(&c, 0);
    for (; is_good && sample_count < first && (sample_count == 0 || seconds_now() < end); sample_count++) {
      double start = seconds_now();
      is_good = echo_byte(&c, 0);
      samples[sample_count] = (seconds_now() - start) * 1e6;
    }
    failures = !is_good;
    print_samples(sample_count, seconds_now() - begin);
    close_connection(&c);
  } else if ((!strcmp(mode, "beside-up") || !strcmp(mode, "beside-down")) && count == 6 && first < THREADS_MAX) {
    is_upload = !strcmp(mode, "beside-up");
    struct connection c;
    int is_good = open_connection(&c) && echo_byte(&c, 1);
    pthread_barrier_init(&barrier, NULL, first + 1);
    for (int at = 0; at < first; at++) pthread_create(threads + at, NULL, bulk_until_over, NULL);
    pthread_barrier_wait(&barrier);
    is_good = is_good && ping_for(&c, WARM_UP_S);
    sample_count = 0;
    uint64_t before = bytes_moved;
    double start = seconds_now();
    is_good = is_good && ping_for(&c, atol(arguments[5]) / 1000.0);
    double seconds = seconds_now() - start;
    uint64_t moved = bytes_moved - before;
    is_over = 1;
    for (int at = 0; at < first; at++) pthread_join(threads[at], NULL);
    bytes_moved = moved;
    failures += !is_good;
    print_samples(sample_count, seconds);
    close_connection(&c);
  } else if (!strcmp(mode, "connect") && count == 7 && first <= THREADS_MAX) {
    pause_us = atoi(arguments[6]);
    double start = seconds_now();
    for (int at = 0; at < first; at++) pthread_create(threads + at, NULL, connect_again_and_again, NULL);
    usleep(atol(arguments[5]) * 1000);
    is_over = 1;
    for (int at = 0; at < first; at++) pthread_join(threads[at], NULL);
    print_samples(sample_count, seconds_now() - start);
  } else if (!strcmp(mode, "idle")) {
    struct connection *all = calloc(first, sizeof *all);
    double start = seconds_now();
    for (long at = 0; at < first; at++)
      if (!open_connection(all + at) || !echo_byte(all + at, 1)) failures++;
    printf("{\"count\":%ld,\"seconds\":%.4f,\"failures\":%d}\n", first, seconds_now() - start, failures);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0);
    for (long at = 0; at < first; at++) close_connection(all + at);
  } else return 2;
  return 0;
}
