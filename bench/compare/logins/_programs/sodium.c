// Counts logins in libsodium's way for as many milliseconds of CPU time as the argument says, and prints how many there
// are per second: crypto_box_keypair, and crypto_box_open_easy of what the device has sent.
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PREPARED = 256, BATCH = 64, CHALLENGE = 32 };

static double spent(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	if (argc != 2 || sodium_init() < 0) return 2;
	double limit = atof(argv[1]) / 1e3;
	unsigned char pk[crypto_box_PUBLICKEYBYTES], sk[crypto_box_SECRETKEYBYTES];
	unsigned char group[crypto_box_PUBLICKEYBYTES], group_sk[crypto_box_SECRETKEYBYTES];
	unsigned char fresh[crypto_box_PUBLICKEYBYTES], fresh_sk[crypto_box_SECRETKEYBYTES];
	static unsigned char nonces[PREPARED][crypto_box_NONCEBYTES], boxes[PREPARED][CHALLENGE + crypto_box_MACBYTES];
	unsigned char challenge[CHALLENGE], opened[CHALLENGE];
	crypto_box_keypair(pk, sk);
	crypto_box_keypair(group, group_sk);
	randombytes_buf(challenge, sizeof challenge);
	for (int i = 0; i < PREPARED; i++) {
		randombytes_buf(nonces[i], sizeof nonces[i]);
		if (crypto_box_easy(boxes[i], challenge, sizeof challenge, nonces[i], pk, group_sk)) return 3;
	}
	double start = spent();
	for (long n = 0;; n += BATCH) {
		double now = spent();
		if (now - start >= limit) {
			printf("%f\n", n / (now - start));
			return 0;
		}
		for (int i = 0; i < BATCH; i++) {
			int at = (n + i) % PREPARED;
			crypto_box_keypair(fresh, fresh_sk);
			if (crypto_box_open_easy(opened, boxes[at], sizeof boxes[at], nonces[at], group, sk)) return 3;
			if (sodium_memcmp(opened, challenge, sizeof challenge)) return 3;
		}
	}
}
