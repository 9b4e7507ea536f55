/* Answers that a worker of Envoy gives again without Python (README.md has the rules).
 *
 * A table of requests and their answers, which Python fills, empties and limits; requests are compared byte by byte. One
 * lock guards all of it. What was repeated is noted for Python, which counts and records it.
 *
 * The other side is services/router/headrace_router/data/transports/envoy/repeated_answers.py.
 */
#include "repeated_answers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { MOST_ENTRIES = 32768, BUCKETS = 65536, HEADERS_BUCKETS = 4096, MOST_LEASES = 4096, MOST_NOTES = 8192 };
enum { MOST_ANSWER = 64 * 1024, LEAST_ID = 12, MOST_ID = 40, UUID_LENGTH = 36, VARINT_LENGTH = 5, DECIMAL_LENGTH = 10 };
enum { ONE_IN = 256, ALIVE_MS = 1000 };
/* What is written into a copy of an answer, and where (HOLE_SHIFT). */
enum { REQUEST_ID, PREDICTION_ID, AGE_VARINT, AGE_DECIMAL, HOLE_SHIFT = 28 };

/* What Python says of one answer: this, then as many bytes of the request's shape, values and body and of the answer, and
 * the holes of the answer, a number each. number: names it. lease: which of the leases pays for it. Times are of CLOCK_MONOTONIC. */
typedef struct {
  int64_t computed_ms, until_ms;
  uint32_t number, lease, request_id, shape, values, body, answer, holes;
} Armed;

/* Shape and values, which many requests of one client have in common. */
typedef struct Headers {
  struct Headers *next;             /* in its bucket */
  uint64_t hash;
  uint32_t entries, shape, values;
  char bytes[];
} Headers;

typedef struct Entry {
  struct Entry *next;               /* in its bucket */
  Headers *headers;
  uint64_t hash;
  uint32_t asked;
  Armed armed;
  char bytes[];                     /* body, answer, holes */
} Entry;

/* One answer that was repeated, as Python takes it. */
typedef struct {
  int64_t began_ns;
  uint32_t took_ns, number, age_ms, request_id_length;
  char prediction_id[UUID_LENGTH], request_id[MOST_ID];
  uint32_t unused;
} Note;

static struct {
  pthread_mutex_t lock;
  Entry *buckets[BUCKETS], *entries[MOST_ENTRIES];   /* entries: by number */
  Headers *headers[HEADERS_BUCKETS];
  atomic_uint count;
  atomic_ullong seed;               /* drawn once, so that callers cannot choose keys of one bucket */
  int64_t alive_until_ms;           /* Python looked at the notes less than ALIVE_MS before */
  int32_t leases[MOST_LEASES];
  Note notes[MOST_NOTES];
  uint32_t note_count, epoch;
  atomic_uint sending[2];           /* answers on their way, by whether their epoch is odd */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local char copy[MOST_ANSWER];
static _Thread_local uint32_t copy_epoch;
static _Thread_local uint64_t random_state[2];

int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Finding ---- */

static uint64_t mixed(uint64_t a, uint64_t b) {
  __uint128_t product = (__uint128_t)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Only where to look; what is found is compared. */
static uint64_t hashed(uint64_t hash, Bytes bytes) {
  uint64_t words[2];
  hash ^= bytes.length;
  for (; bytes.length >= sizeof words; bytes.at += sizeof words, bytes.length -= sizeof words) {
    memcpy(words, bytes.at, sizeof words);
    hash = mixed(hash ^ words[0], 0x9E3779B97F4A7C15u ^ words[1]);
  }
  memset(words, 0, sizeof words);
  memcpy(words, bytes.at, bytes.length);
  return mixed(hash ^ words[0], 0xC2B2AE3D27D4EB4Fu ^ words[1]);
}

static uint64_t headers_hash(Bytes shape, Bytes values) { return hashed(hashed(atomic_load(&table.seed), shape), values); }

static bool same(Bytes one, const char *other, uint32_t length) {
  return one.length == length && !memcmp(one.at, other, length);
}

/* The following are called with the lock held. */

static Headers *find_headers(uint64_t hash, Bytes shape, Bytes values) {
  for (Headers *h = table.headers[hash % HEADERS_BUCKETS]; h; h = h->next)
    if (h->hash == hash && same(shape, h->bytes, h->shape) && same(values, h->bytes + h->shape, h->values)) return h;
  return NULL;
}

/* Return the headers for one more entry, NULL where there is no room for them. */
static Headers *share_headers(uint64_t hash, Bytes shape, Bytes values) {
  Headers *h = find_headers(hash, shape, values);
  if (!h) {
    Headers **bucket = &table.headers[hash % HEADERS_BUCKETS];
    if (!(h = malloc(sizeof *h + shape.length + values.length))) return NULL;
    *h = (Headers){.next = *bucket, .hash = hash, .shape = (uint32_t)shape.length, .values = (uint32_t)values.length};
    memcpy(h->bytes, shape.at, shape.length);
    memcpy(h->bytes + shape.length, values.at, values.length);
    *bucket = h;
  }
  h->entries++;
  return h;
}

static void release_headers(Headers *released) {
  if (--released->entries) return;
  Headers **place = &table.headers[released->hash % HEADERS_BUCKETS];
  while (*place != released) place = &(*place)->next;
  *place = released->next;
  free(released);
}

static Entry *find(uint64_t hash, const Asked *asked) {
  for (Entry *e = table.buckets[hash % BUCKETS]; e; e = e->next)
    if (e->hash == hash && e->armed.request_id == asked->request_id.length && same(asked->body, e->bytes, e->armed.body) &&
        same(asked->shape, e->headers->bytes, e->headers->shape) &&
        same(asked->values, e->headers->bytes + e->headers->shape, e->headers->values)) return e;
  return NULL;
}

static void drop(uint32_t number) {
  Entry *dropped = table.entries[number];
  if (!dropped) return;
  Entry **place = &table.buckets[dropped->hash % BUCKETS];
  while (*place != dropped) place = &(*place)->next;
  *place = dropped->next;
  table.entries[number] = NULL;
  atomic_fetch_sub(&table.count, 1);
  release_headers(dropped->headers);
  free(dropped);
}

/* ---- A copy of an answer ---- */

static uint64_t drawn(void) {   /* xorshift128+ (Vigna 2017): ids have to differ, not to be secret */
  uint64_t a = random_state[0], b = random_state[1];
  if (!a && !b && getrandom(random_state, sizeof random_state, 0) == sizeof random_state)
    a = random_state[0] | 1, b = random_state[1];
  random_state[0] = b;
  a ^= a << 23;
  random_state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
  return random_state[1] + b;
}

static void write_uuid7(char *into) {   /* RFC 9562, 5.7 */
  static const char DIGITS[] = "0123456789abcdef";
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  uint64_t halves[2] = {ms << 16 | 0x7000 | (drawn() & 0xFFF), 1ull << 63 | drawn() >> 2};
  for (int digit = 0; digit < 32; digit++) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) *into++ = '-';
    *into++ = DIGITS[halves[digit / 16] >> (60 - digit % 16 * 4) & 15];
  }
}

static void write_varint(char *into, uint32_t value) {   /* of one length, which protobuf's readers take */
  for (int i = 0; i < VARINT_LENGTH; i++, value >>= 7) into[i] = (char)((value & 127) | (i < VARINT_LENGTH - 1 ? 128 : 0));
}

static void write_decimal(char *into, uint32_t value) {   /* likewise: spaces stand before a number of JSON */
  memset(into, ' ', DECIMAL_LENGTH);
  char *at = into + DECIMAL_LENGTH;
  do *--at = (char)('0' + value % 10); while (value /= 10);
}

static size_t size_of(uint32_t kind, uint32_t request_id) {
  return kind == REQUEST_ID ? request_id : kind == PREDICTION_ID ? UUID_LENGTH : kind == AGE_VARINT ? VARINT_LENGTH : DECIMAL_LENGTH;
}

static void write_copy(const Entry *e, const Note *note) {
  const char *answer = e->bytes + e->armed.body, *holes = answer + e->armed.answer;
  memcpy(copy, answer, e->armed.answer);
  for (uint32_t i = 0, hole; i < e->armed.holes; i++) {
    memcpy(&hole, holes + i * sizeof hole, sizeof hole);
    char *at = copy + (hole & ((1u << HOLE_SHIFT) - 1));
    switch (hole >> HOLE_SHIFT) {
      case REQUEST_ID: memcpy(at, note->request_id, note->request_id_length); break;
      case PREDICTION_ID: memcpy(at, note->prediction_id, UUID_LENGTH); break;
      case AGE_VARINT: write_varint(at, note->age_ms); break;
      default: write_decimal(at, note->age_ms);
    }
  }
}

/* ---- A worker's side ---- */

static bool well_formed(Bytes id) {   /* as servicekit's calls.py */
  if (id.length < LEAST_ID || id.length > MOST_ID) return false;
  for (size_t i = 0; i < id.length; i++) {
    char c = id.at[i], letter = c | 32;
    if (!((letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || (c && strchr("._:/+=-", c)))) return false;
  }
  return true;
}

const char *repeated_answer(const Asked *asked) {
  if (!atomic_load(&table.count) || !well_formed(asked->request_id)) return NULL;
  uint64_t hash = hashed(headers_hash(asked->shape, asked->values), asked->body);
  const char *found = NULL;
  pthread_mutex_lock(&table.lock);
  int64_t now = now_ns(), now_ms = now / 1000000;
  Entry *e = find(hash, asked);
  /* One in so many is Python's: its memory stays as used, its samples are drawn. */
  if (e && now_ms < e->armed.until_ms && now_ms < table.alive_until_ms && table.note_count < MOST_NOTES &&
      table.leases[e->armed.lease] > 0 && ++e->asked % ONE_IN) {
    table.leases[e->armed.lease]--;
    Note *note = &table.notes[table.note_count++];
    int64_t took_ns = now - asked->began_ns;
    *note = (Note){.began_ns = asked->began_ns, .took_ns = took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX, .number = e->armed.number,
                   .age_ms = now_ms > e->armed.computed_ms ? (uint32_t)(now_ms - e->armed.computed_ms) : 0, .request_id_length = (uint32_t)asked->request_id.length};
    memcpy(note->request_id, asked->request_id.at, asked->request_id.length);
    write_uuid7(note->prediction_id);
    write_copy(e, note);
    copy_epoch = table.epoch;
    atomic_fetch_add(&table.sending[copy_epoch & 1], 1);
    found = copy;
  }
  pthread_mutex_unlock(&table.lock);
  return found;
}

void repeated_answer_sent(void) { atomic_fetch_sub(&table.sending[copy_epoch & 1], 1); }

/* ---- Python's side ---- */

static bool holes_fit(const Armed *armed, const char *holes) {
  for (uint32_t i = 0, hole; i < armed->holes; i++) {
    memcpy(&hole, holes + i * sizeof hole, sizeof hole);
    if ((hole & ((1u << HOLE_SHIFT) - 1)) + size_of(hole >> HOLE_SHIFT, armed->request_id) > armed->answer) return false;
  }
  return true;
}

/* Have an answer repeated from now on, in place of what had its number; false where it can't be. */
bool bridge_arm(const char *packed, size_t length) {
  Armed armed;
  if (length < sizeof armed) return false;
  memcpy(&armed, packed, sizeof armed);
  packed += sizeof armed;
  Bytes shape = {packed, armed.shape}, values = {packed + armed.shape, armed.values};
  packed += shape.length + values.length;
  size_t bytes = (size_t)armed.body + armed.answer + (size_t)armed.holes * sizeof(uint32_t);
  if (shape.length + values.length + bytes != length - sizeof armed || armed.number >= MOST_ENTRIES || armed.lease >= MOST_LEASES || armed.request_id > MOST_ID ||
      armed.answer > MOST_ANSWER || !holes_fit(&armed, packed + bytes - armed.holes * sizeof(uint32_t))) return false;
  Entry *e = malloc(sizeof *e + bytes);
  if (!e) return false;
  pthread_mutex_lock(&table.lock);
  drop(armed.number);
  if (!atomic_load(&table.seed)) atomic_store(&table.seed, drawn());
  uint64_t hash = headers_hash(shape, values);
  Headers *headers = share_headers(hash, shape, values);
  if (headers) {
    *e = (Entry){.headers = headers, .hash = hashed(hash, (Bytes){packed, armed.body}), .armed = armed};
    memcpy(e->bytes, packed, bytes);
    e->next = table.buckets[e->hash % BUCKETS];
    table.buckets[e->hash % BUCKETS] = table.entries[armed.number] = e;
    atomic_fetch_add(&table.count, 1);
  } else {
    free(e);
  }
  pthread_mutex_unlock(&table.lock);
  return headers != NULL;
}

/* Repeat one answer no more; it may be on its way. */
void bridge_drop(uint32_t number) {
  pthread_mutex_lock(&table.lock);
  if (number < MOST_ENTRIES) drop(number);
  pthread_mutex_unlock(&table.lock);
}

/* Repeat nothing of what there is. Returns when no answer of before is on its way. */
void bridge_forget(void) {
  pthread_mutex_lock(&table.lock);
  for (uint32_t number = 0; number < MOST_ENTRIES && atomic_load(&table.count); number++) drop(number);
  uint32_t before = table.epoch++;
  pthread_mutex_unlock(&table.lock);
  while (atomic_load(&table.sending[before & 1])) sched_yield();
}

/* Let so many answers be repeated at a lease's cost; return how many of those before were not. */
int32_t bridge_lease(uint32_t lease, int32_t tokens) {
  if (lease >= MOST_LEASES) return 0;
  pthread_mutex_lock(&table.lock);
  int32_t left = table.leases[lease];
  table.leases[lease] = tokens;
  pthread_mutex_unlock(&table.lock);
  return left;
}

/* Copy what was repeated, which must have room, and return its bytes. Answers are repeated while this is called. */
size_t bridge_repeated(char *into) {
  pthread_mutex_lock(&table.lock);
  size_t length = table.note_count * sizeof *table.notes;
  memcpy(into, table.notes, length);
  table.note_count = 0;
  table.alive_until_ms = now_ns() / 1000000 + ALIVE_MS;
  pthread_mutex_unlock(&table.lock);
  return length;
}
