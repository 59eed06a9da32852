/**
 * Whether it is a time, of a year that ISO 8601 and Postgres write with four digits: from 1 to 9999. RFC 3339 knows no
 * others, but an offset may lead out of them.
 */
export const hasFourDigitYear = (time: Date): boolean => {
  const year = time.getUTCFullYear()
  return year >= 1 && year <= 9_999
}
