// Package hostile runs the real server against chat servers and devices that mean it harm or are broken, and looks from
// outside at what that costs: how much memory the process takes, and whether an honest group notices.
package hostile
