// How figures are written.

const numbers = new Intl.NumberFormat("en");

export const count = (n) => numbers.format(n);

export function counted(n, one, many = one + "s") {
  return count(n) + " " + (n === 1 ? one : many);
}

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return (unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[unit];
}

// duration is of milliseconds, in its largest unit and the next one where that matters.
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (seconds < 60) return seconds + " s";
  if (minutes < 60) return minutes + " min";
  if (hours < 10 && minutes % 60) return hours + " h " + (minutes % 60) + " min";
  if (hours < 48) return hours + " h";
  return counted(days, "day");
}

export function rate(n) {
  return n > 0 && n < 10 ? n.toFixed(1) : count(Math.round(n));
}

export function day(date) {
  return date.toISOString().slice(0, 10);
}

export function clock(date) {
  return date.toLocaleTimeString("en-GB");
}
