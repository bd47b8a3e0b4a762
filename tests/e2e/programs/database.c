/* Asks a real MariaDB server to sleep, by the client library as the distribution ships it.
 * DB_SOCKET names the server. */
#include <mariadb/mysql.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  MYSQL *db = mysql_init(NULL);
  MYSQL_RES *result = NULL;
  MYSQL_ROW row;
  printf("Content-Type: text/plain\r\n\r\n");
  if (db == NULL ||
      mysql_real_connect(db, NULL, "root", "", NULL, 0, getenv("DB_SOCKET"), 0) == NULL) {
    printf("no connection: %s\n", db != NULL ? mysql_error(db) : "no memory");
    return 1;
  }
  if (mysql_query(db, "SELECT SLEEP(0.1), CONNECTION_ID() > 0") != 0 ||
      (result = mysql_store_result(db)) == NULL || (row = mysql_fetch_row(result)) == NULL) {
    printf("no answer: %s\n", mysql_error(db));
    return 1;
  }
  printf("slept %s, connected %s\n", row[0], row[1]);
  mysql_free_result(result);
  mysql_close(db);
  return 0;
}
