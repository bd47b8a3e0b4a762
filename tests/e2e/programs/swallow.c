/* Reads its body and says how many bytes it had, and their CRC-32. */
#include <stdint.h>
#include <stdio.h>

int main(void) {
  static unsigned char piece[65536];
  static uint32_t table[256];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
    table[i] = value;
  }
  uint32_t crc = 0xffffffffu;
  unsigned long long total = 0;
  size_t got;
  while ((got = fread(piece, 1, sizeof piece, stdin)) > 0) {
    for (size_t i = 0; i < got; i++) crc = table[(crc ^ piece[i]) & 0xff] ^ crc >> 8;
    total += got;
  }
  printf("Content-Type: text/plain\r\n\r\n%llu %08x\n", total, crc ^ 0xffffffffu);
  return 0;
}
