/** Stands in for Prettier in the language worker: leaves the text as it is. */
export const format = (text: string): string => text;
export default {};
