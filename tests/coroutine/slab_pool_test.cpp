// SlabPool: objects that do not overlap, and memory that goes back.
#include "coroutine/slab_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace cogi::coroutine {
namespace {

constexpr size_t kSize = 192, kSlab = 256 << 10;

// Enough for slabs that come out of huge pages.
TEST(SlabPool, GivesEachObjectItsOwnMemoryAndTheKernelAllOfItBack) {
  SlabPool pool(kSize, kSlab);
  std::vector<char*> taken(200'000);
  for (size_t i = 0; i < taken.size(); ++i) {
    taken[i] = static_cast<char*>(pool.Take());
    ASSERT_NE(taken[i], nullptr);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(taken[i]) % 64, 0u);
    std::memset(taken[i], static_cast<char>(i % 251), kSize);
  }
  EXPECT_EQ(pool.taken(), taken.size());
  EXPECT_LE(pool.mapped_bytes(), taken.size() * kSize * 101 / 100 + kSlab);
  for (size_t i = 0; i < taken.size(); ++i) {
    ASSERT_EQ(taken[i][0], static_cast<char>(i % 251));
    ASSERT_EQ(taken[i][kSize - 1], static_cast<char>(i % 251));
  }
  std::shuffle(taken.begin(), taken.end(), std::mt19937(1));
  for (char* object : taken) pool.Give(object);
  EXPECT_EQ(pool.taken(), 0u);
  EXPECT_LE(pool.mapped_bytes(), kSlab) << "more than one empty slab is kept";
}

TEST(SlabPool, TakesTheLastOneGivenFirst) {
  SlabPool pool(kSize, kSlab);
  void* first = pool.Take();
  void* second = pool.Take();
  pool.Give(first);
  EXPECT_EQ(pool.Take(), first);
  pool.Give(first);
  pool.Give(second);
  EXPECT_EQ(pool.Take(), second);
  pool.Give(second);
}

TEST(SlabPool, VisitsWhatWasEverTaken) {
  SlabPool pool(kSize, kSlab);
  std::vector<void*> taken(3000), visited;
  for (void*& object : taken) object = pool.Take();
  pool.ForEach([&](void* object) { visited.push_back(object); });
  std::sort(taken.begin(), taken.end());
  std::sort(visited.begin(), visited.end());
  EXPECT_EQ(visited, taken);
  for (void* object : taken) pool.Give(object);
}

}  // namespace
}  // namespace cogi::coroutine
