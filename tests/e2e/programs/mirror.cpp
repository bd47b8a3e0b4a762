// Sends the body back, by iostreams.
#include <cstdlib>
#include <iostream>

int main() {
  const char* type = std::getenv("CONTENT_TYPE");
  std::cout << "Content-Type: " << (type != nullptr && *type != '\0' ? type : "text/plain")
            << "\r\n\r\n";
  if (std::cin.peek() != std::istream::traits_type::eof()) std::cout << std::cin.rdbuf();
}
